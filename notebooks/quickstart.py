# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Topics of 300 news stories
# `jupytext --to ipynb notebooks/quickstart.py` turns this file into a notebook.

# %%
import os

import topiclab
from topiclab.config.compose import compose
from topiclab.data.sources.corpora import load_corpus

texts = load_corpus(compose(["data=lee"])["data"]).texts
print(len(texts), "documents; the first:", texts[0][:80], "...")

# %% [markdown]
# Fit a model. `folder` keeps the run; without it the run is in a temporary folder.

# %%
topics = topiclab.fit(texts, model="theta", num_topics=10, folder=os.environ.get("TOPICLAB_RUN"))
for number, words in enumerate(topics.topic_words(8)):
    print(f"{number:2d}  {topics.result.theta[:, number].mean():.0%}  {' '.join(words)}")

# %% [markdown]
# Measure the topics, and apply the model to unseen texts.

# %%
print({name: round(topics.metrics[name], 3) for name in ("npmi", "c_v", "td")})
theta = topics.transform(["The bowler took five wickets on the first day of the cricket test in Sydney."])
print("main topic:", " ".join(topics.topic_words(5)[theta[0].argmax()]))

# %% [markdown]
# The run folder is all that is needed to continue later or elsewhere.

# %%
again = topiclab.load(topics.folder)
assert (again.transform(texts[:5]) == topics.transform(texts[:5])).all()
