"""Function words that no package lists: Chinese, and contractions of the languages that have them.

Written by hand from the grammar of each language: pronouns, particles, prepositions, conjunctions, adverbs
of degree and time, numerals and measure words of Chinese; of the others the words that an apostrophe cuts.
In a contraction ' stands for any apostrophe. One that ends with ' is cut from the word after it (l'homme),
one that begins with ' from the word before it (they'll); the others are words as a whole (don't).
"""

from __future__ import annotations

# Before n't; alone, only those of REMAINS are no words of English.
_NEGATED = (
    "ain aren can couldn daren didn doesn don hadn hasn haven isn mayn mightn mustn needn oughtn shan shouldn "
    "wasn weren won wouldn"
).split()
REMAINS = {
    "english": (
        "ain aren couldn daren didn doesn hadn hasn isn mayn mightn mustn needn oughtn shouldn wasn weren wouldn"
    ).split()
}
CONTRACTIONS = {
    "english": [
        *(f"{word}'t" for word in _NEGATED),
        *"let's c'mon y'all 'tis 'twas 'twere 'll 've 're".split(),
    ],
    "french": (
        "c' d' j' l' m' n' s' t' qu' jusqu' lorsqu' puisqu' quoiqu' quelqu' presqu' entr' aujourd'hui"
    ).split(),
    "italian": (
        "c' d' l' m' n' s' t' v' gl' un' all' coll' dall' dell' nell' pell' sull' quell' quest' com' cos' dov' "
        "anch' senz' tutt' nessun' ciascun' qualcun' alcun' ogn' po' mo' de' ne' co' ch'"
    ).split(),
    "catalan": "d' l' m' n' s' t' 'l 'ls 'm 'n 'ns 's 't".split(),
    "turkish": (
        "'a 'e 'ı 'i 'u 'ü 'ya 'ye 'yı 'yi 'yu 'yü 'na 'ne 'nı 'ni 'nu 'nü 'da 'de 'ta 'te 'nda 'nde 'dan 'den "
        "'tan 'ten 'ndan 'nden 'ın 'in 'un 'ün 'nın 'nin 'nun 'nün 'la 'le 'yla 'yle 'daki 'deki 'taki 'teki "
        "'ndaki 'ndeki 'dır 'dir 'dur 'dür 'tır 'tir 'tur 'tür 'lar 'ler 'ları 'leri 'lara 'lere 'ların 'lerin "
        "'daydı 'deydi 'lı 'li 'lu 'lü 'lık 'lik 'ca 'ce 'ça 'çe"
    ).split(),
}

CHINESE = frozenset(
    # pronouns
   """我 你 您 他 她 它 牠 祂 咱 俺 我们 我們 你们 你們 您们 您們 他们 他們 她们 她們 它们 它們 咱们 咱們 俺们 人家
    自己 自个儿 自身 本人 本身 彼此 互相 相互 大家 大伙 大家伙 别人 別人 旁人 他人 其他 其它 其余 其餘 另外 另 其 之 者 谁 誰
    哪个 哪個 哪些 哪里 哪裡 哪儿 哪兒 哪 哪怕 什么 什麼 甚麼 啥 怎么 怎麼 怎样 怎樣 怎么样 怎麼樣 怎么着 如何 为何 為何
    为什么 為什麼 为啥 多少 多么 多麼 几 幾 几个 幾個 何 何时 何時 何处 何處 何必 何况 何況 何以 几时 是否 是不是 有没有 有沒有
    这 這 那 这个 這個 那个 那個 这些 這些 那些 这样 這樣 那样 那樣 这么 這麼 那么 那麼 这里 這裡 這裏 那里 那裡 那裏 这儿 那儿
    这边 這邊 那边 那邊 这种 這種 那种 那種 这次 這次 那次 这时 這時 那时 那時 这般 那般 这就是说 此 此时 此時 此外 此次 此处
    此處 此间 彼 该 該 各 各个 各個 各种 各種 各自 各位 某 某个 某個 某些 某种 某種 每 每个 每個 每当 每當 每次 每每 任何 任
    一切 所有 全部 许多 許多 好多 很多 不少 多数 多數 少数 少數 若干 有些 有的 有人 有时 有時 有关 有關 有着 有著"""
    # particles, auxiliaries
   """的 地 得 了 着 著 过 過 们 們 吗 嗎 呢 吧 啊 呀 哇 哦 噢 喔 哎 唉 哟 喲 嘛 啦 罢了 罷了 而已 似的 一般 一样 一樣 般 来着 來著
    等 等等 等到 云云 所 所谓 所謂 被 把 将 將 给 給 让 讓 叫 使 使得 令 教 会 會 能 能够 能夠 可 可以 可能 应 應 应该 應該 应当 應當
    该当 必须 必須 必要 必然 必定 需 需要 须 須 得以 要 想要 愿意 願意 肯 敢 是 不是 就是 便是 乃是 算是 算 为 為 作为 作為 成为
    成為 有 没有 沒有 没 沒 无 無 非 不 不会 不會 不能 不要 不可 不可以 不用 不必 不得 不得不 不想 不再 不同 不如 不但 不仅 不僅
    不仅仅 不光 不单 不單 不只 不过 不過 不管 不论 不論 不然 不料 不止 不至于 不成 不断 不斷 不怕 不惟 不拘 未 未曾 未必 尚未
    别 別 勿 莫 甭 来 來 去 起来 起來 上去 上来 上來 下来 下來 下去 出来 出來 出去 进来 進來 进去 進去 过来 過來 过去 過去 回来
    回來 回去 以来 以來 来说 來說 来讲 來講 来自 來自 看来 看來 看到 看看 说 說 说来 說來 说到 觉得 覺得 知道 认为 認為 成 做 作
    搞 弄 进行 進行 予以 加以 加之 得到 具有 属于 屬於"""
    # prepositions
   """在 于 於 从 從 自 自从 自從 自打 由 由于 由於 由此 打 打从 打從 到 往 向 朝 朝着 朝著 沿 沿着 沿著 顺着 順著 对 對 对于 對於
    对着 關於 关于 至于 至於 至 至今 直到 当 當 当着 当中 當中 趁 趁着 趁著 随 隨 随着 隨著 随后 隨後 随时 隨時 跟 跟着 同 同时
    同時 同样 同樣 和 与 與 与其 與其 与否 及 及其 以及 以 以为 以為 以便 以免 以至 以至于 以致 以上 以下 以前 以后 以後 以内 以外
    以期 用 拿 按 按照 依 依照 依据 依據 依靠 照 照着 据 據 据此 据说 據說 根据 根據 鉴于 鑒於 基于 基於 凭 憑 凭借 憑藉 靠 通过
    通過 经 經 经过 經過 经由 為了 为了 为着 因 因为 因為 因此 因而 因之 除 除了 除外 除此之外 除非 比 比如 比方 比起 较 較 较之
    比较 比較 连 連 连同 連同 本着 本著 替 离 離 距 冲 叫做 所在 在于 在於 位于 位於 处在 處在 当时 當時 当地 當地 针对
    針對 围绕 圍繞 凡 凡是 逐步 逐渐 逐漸"""
    # conjunctions
   """或 或者 或是 或许 或許 还是 還是 还有 還有 还要 還要 并 並 并且 並且 并不 並不 并不是 并非 並非 而 而且 而是 而非 而后
    而言 且 况且 況且 尚且 但 但是 可是 然而 然后 然後 然则 然則 虽 雖 虽然 雖然 虽说 雖說 虽则 即 即使 即便 即将 即將 即若
    就算 就是说 就要 纵使 縱使 纵然 縱然 尽管 儘管 盡管 尽 固然 如 如果 如此 如同 如下 如上 如是 如其 如若 倘 倘若 倘使 倘或
    若 若是 若非 假如 假若 假使 要是 要不 要不是 要不然 要么 要麼 万一 萬一 只要 只有 只是 只能 只 只不过 只不過 否则 否則 无论
    無論 所以 故 故此 故而 于是 於是 从而 從而 既 既然 既是 既往 宁 宁可 寧可 宁愿 寧願 宁肯 与此同时 例如 譬如 诸如 諸如 诸
    諸 诸位 譬喻 正如 正是 正在 反之 反而 反过来 反過來 相反 相对 相對 换言之 換言之 换句话说 也就是说 总之 總之 总的来说
    总的来看 综上所述 一方面 另一方面 首先 其次 其中 其实 其實 再者 再说 再說 再则 此后 此後 接着 接著 紧接着 最后 最後 甚至
    甚至于 甚而 甚且 乃 乃至 乃至于 的话 的話 一来 二来 不但如此"""
    # adverbs
   """也 都 皆 均 就 便 才 纔 刚 剛 刚刚 剛剛 刚才 剛才 又 再 再次 还 還 仍 仍旧 仍舊 仍然 依然 依旧 依舊 已 已经 已經 曾 曾经 曾經
    正巧 恰好 恰恰 恰巧 将要 將要 快要 立即 立刻 马上 馬上 顿时 頓時 忽然 突然 渐渐 漸漸 一直 一向 向来 向來 从来 從來 始终 始終
    永远 永遠 总是 總是 总 總 常 常常 经常 經常 时常 時常 往往 通常 偶尔 偶爾 有时候 有時候 时候 時候 时 時 先 先后 先後 后 後 后来
    後來 之后 之後 之前 之间 之間 之中 之内 之內 之外 之一 之类 之類 之所以 前 前后 前者 后者 後者 后面 後面 前面 上 上下 上面 下
    下面 下列 里 裡 裏 里面 裡面 內 内 外 外面 外边 中 間 间 旁 处处 處處 到处 到處 到底 究竟 毕竟 畢竟 终于 終於 很
    非常 十分 极 極 极其 極其 极为 極為 极了 最 更 更加 更为 更為 越 越来越 越來越 愈 太 太过 挺 颇 頗 相当 相當 特别 特別 尤其 格外
    分外 稍 稍微 略 略微 有点 有點 有点儿 一点 一點 一点儿 一些 些 几乎 幾乎 差不多 差点 大概 大约 大約 大致 大多 大多数 大多數
    大都 约 約 也许 也許 恐怕 似乎 好像 好象 仿佛 彷彿 看似 显然 顯然 当然 當然 果然 果真 确实 確實 的确 的確 实在 實在
    真 真的 真是 真正 简直 簡直 幸亏 幸虧 幸好 难道 難道 难怪 難怪 居然 竟 竟然 偏偏 反正 原来 原來 本来 本來 完全 全
    全都 统统 統統 一共 总共 總共 一起 一同 一旦 一定 一则 一則 一边 一邊 一面 一次 一下 一时 一時 一种 一種 一个 一個 一位 一名
    一天 一般来说 共 共同 仅 僅 仅仅 僅僅 单 單 单单 光是 独 至少 至多 最多 最少 最近 最好 另行 亦 亦即 则 則 却 卻 倒 倒是 偏
    多 多次 互 亲自 親自 分别 分別 顺便 順便 特意 专门 專門 仍是 便于 便於 于是乎 起 起见 起見 左 右 甚 甚或 甚么
    今 今天 今后 今後 如今 现在 現在 目前 昨天 明天 当年 當年 今年 去年 明年 每年 每天 日前 近来 近來 近日 不久 不时"""
    # numerals, measure words, others
   """一 二 两 兩 三 四 五 六 七 八 九 十 百 千 万 萬 亿 億 零 第 第一 第二 第三 个 個 位 种 種 次 回 条 條 张 張 隻 支
     份 号 號 点 點 儿 兒 么 麼 头儿 这么些 有所 无法 無法 是的 好的 没什么 對不起 对不起 谢谢 謝謝
    请 請 请问 請問 喂 嗯 哈 哈哈 呵 呵呵 嘿 哼 呜 嗡 哎呀 哎哟 啊呀 方面 情况下 为主 為主 部分 之上 之下 以此 尔 爾 矣
    乎 焉 兮 哉 亦或 抑或 抑 苟 设使 設使 设若 莫若 莫如 莫不然 岂 豈 岂但 岂止 岂非 忽 俱 咋 咦 咧 哩 哪样 哪年 哪天""".split()
)
