"""THETA: embedded topic model whose encoder reads document embeddings (Duan & Li 2026, arXiv 2603.05972)."""

from __future__ import annotations

from topiclab.models.etm import ETM


class THETA(ETM):
    """ETM's generative story, with the posterior of a document inferred from its embedding.

    Words have vectors rho (V, E'), topics have vectors alpha (K, E').  A document d of n_d words is drawn as

        z_d ~ N(0, I),   theta_d = softmax(z_d)                        topic proportions (K,)
        beta_k = softmax(rho alpha_k)                                  word distribution of topic k (V,)
        w_d1 ... w_dn ~ Categorical(theta_d beta)

    and its posterior is a function of its embedding x_d, which the story does not generate:

        q(z | x_d) = N(mu(x_d), diag sigma^2(x_d))                     mu, log sigma^2: two heads of one MLP
        ELBO_d = E_q [ sum_v n_dv log (theta_d beta)_v ] - KL_d        n_dv: count of word v in d
        KL_d = 1/2 sum_k ( sigma_k^2 + mu_k^2 - 1 - log sigma_k^2 )

    The expectation is over one draw z = mu + sigma * epsilon in training; theta is softmax(mu) afterwards.
    The loss is the mean of s_d * reconstruction + a * KL_d over a mini-batch, which is minus the ELBO if both
    factors are 1: s_d is set by `objective=bow` (see `BowNLL`), a rises to 1 over `kl_warmup` of the epochs.
    The default adds `init_weight` * cross-entropy of softmax(mu) with the document's cluster at the start.
    Code: `losses` and `gaussian_kl` in base/vae.py, `beta` and `bag_nll` in etm.py.

    Differs from the authors' code (CodeSoul-co/THETA at ff5ffcc):
    - That code never trains the decoder: in zero-shot mode it takes no step, and the second stage of the
      other two modes has the KL as its only loss. Here every mode has the reconstruction.
    - It scales the counts of a document to sum 1. Against the likelihood of one token the KL wins and
      posteriors collapse; `objective=bow` counts a document of n words as weight * n^length_power tokens.
    - It clamps the KL of a batch at 0.5 nats, below which it has no gradient; here `free_bits` is 0.
    - It starts from noise, in which short texts collapse; here `init=neighbourhoods` starts from clusters of
      the words around each document, and `init_weight` holds documents there: the likelihood alone trades
      the clusters away for a better fit of a few words.
    - Its prior is N(0, I); here `prior_variance` is 3, since with 1 a hundred proportions stay nearly equal.
    - Here embeddings, and the embedder's word vectors, are standardised per dimension: raw word vectors of
      unit length are so alike that beta stays nearly uniform.
    - Here labels are predicted from log theta, and topic words are ranked by usage (see readout.py).

    tests/models/test_theta.py checks the losses and gradients of a step against the formulas above.
    """
