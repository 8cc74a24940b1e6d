"""Language of figures and page: what they say in English, and the same in Chinese."""

from __future__ import annotations

from dataclasses import dataclass, field

CHINESE = {
    # charts
    "Words of the topics": "各主题的词",
    "Word clouds of the topics": "各主题的词云",
    "Similarity of the topics": "主题相似度",
    "Intertopic map": "主题间距离图",
    "Map of the documents": "文档分布图",
    "Topics by {column}": "各{column}的主题分布",
    "Metrics of the topics": "各主题的评价指标",
    "Losses in training": "训练损失",
    "Shares of the topics over time": "各主题占比随时间的变化",
    "Flow between periods": "各时期之间的主题流动",
    "Words of the topics over time": "各主题的词随时间的变化",
    "Metrics by number of topics": "各主题数的评价指标",
    # titles, axes and notes
    "{corpus}: {num} topics by {model}": "{corpus}：{model} 的 {num} 个主题",
    ", merged to {num}": "，合并为 {num} 个",
    "label": "类别",
    "probability of the word in the topic": "词在主题中的概率",
    "the {shown} largest of {all} topics; {rest} smaller ones are left out": (
        "共 {all} 个主题，显示最大的 {shown} 个，其余 {rest} 个较小的未显示"
    ),
    "the {shown} most frequent of {all} values; {rest} are left out": (
        "共 {all} 个取值，显示最常见的 {shown} 个，其余 {rest} 个未显示"
    ),
    "similarity of words: 1 - Jensen-Shannon distance": "词分布相似度：1 - Jensen-Shannon 距离",
    "first axis, {share} of the squared distances": "第一轴，占距离平方的 {share}",
    "second axis, {share} of the squared distances": "第二轴，占距离平方的 {share}",
    "area: share of the documents": "圆面积：占文档的比例",
    "{drawn} of {all} documents, t-SNE of their topics": "{all} 篇文档中的 {drawn} 篇，按主题分布作 t-SNE",
    "mean share of the topic": "主题的平均占比",
    "topic": "主题",
    "topics": "主题数",
    "mean {value}": "均值 {value}",
    "undefined": "无定义",
    "epoch": "轮次",
    "round": "轮次",
    "training": "训练集",
    "validation": "验证集",
    "nats per document": "纳特／文档",
    "loss": "总损失",
    "recon": "重构损失",
    "kl": "KL 散度",
    "share of the documents of the {unit}": "占该{unit}文档的比例",
    "share of the documents": "占文档的比例",
    "day": "日",
    "week": "周",
    "month": "月",
    "quarter": "季度",
    "year": "年",
    "decade": "年代",
    "{num} smaller topics": "其余 {num} 个主题",
    "height: share of the documents; a band inside a topic stays in it, the others are the least movement "
    "of share between the two periods over distances of words": (
        "高度：占文档的比例。同一主题内的条带表示留存，其余为两个时期之间按词距离计算的最小占比移动"
    ),
    "share of the topic's documents that have the word": "主题文档中含该词的比例",
    "share of the documents by {unit} with {level} bands; dashed: trends whose interval excludes 0": (
        "按{unit}计算的文档占比及其 {level} 置信带；虚线：区间不含 0 的趋势"
    ),
    "{rest} of {all} topics are not shown": "共 {all} 个主题，其中 {rest} 个未显示",
    "emerging": "上升",
    "fading": "下降",
    "steady": "平稳",
    "{slope} points a {unit}": "每{unit} {slope} 个百分点",
    "distance at which two groups of topics join": "两组主题合并时的距离",
    "{num} documents beyond the frame stand as triangles at its edge": "框外的 {num} 篇文档以三角形标在边缘",
    "mean and standard deviation over seeds": "各随机种子的均值和标准差",
    # why a chart is missing
    "word clouds need the extra clouds: pip install 'topiclab[clouds]'": (
        "词云需要附加组件 clouds：pip install 'topiclab[clouds]'"
    ),
    "the words of an image model are numbers of codes; topics.png shows what they stand for": (
        "图像模型的词是编码序号；其含义见 topics.png"
    ),
    "{num} topics are too few to compare; it takes 3": "只有 {num} 个主题，至少 3 个才能比较",
    "the documents have no {column}": "文档没有{column}",
    "the run has no documents.parquet, which tells the {column} of each document": (
        "此运行没有记录各文档{column}的 documents.parquet"
    ),
    "all documents have the same {column}: {name}": "所有文档的{column}相同：{name}",
    "no metric of topics is defined in topic_metrics.json": "topic_metrics.json 中没有可用的主题指标",
    "the fit recorded no losses (training_history.json): the model is not trained by epochs": (
        "没有损失记录（training_history.json）：该模型不按轮次训练"
    ),
    "the run is not described: {reason}": "此运行尚无描述：{reason}",
    "the documents have no dates; data.timestamp_column names their column": (
        "文档没有日期；用 data.timestamp_column 指定日期列"
    ),
    "all documents are of one period; describe.time.unit sets a finer one": (
        "所有文档属于同一时期；可用 describe.time.unit 设更细的单位"
    ),
    "an earlier version described the run; describe it again (task=describe rerun=true)": (
        "描述由早期版本生成；请重新描述（task=describe rerun=true）"
    ),
    "no word occurs in enough dated documents of a topic": "没有词在足够多的带日期文档中出现",
    "the documents are of one span of time": "文档只属于一个时间段",
    "the experiment has {sizes} alone; a sweep such as num_topics=25,50,100 has a curve": (
        "实验只有 {sizes}；像 num_topics=25,50,100 这样的扫描才有曲线"
    ),
    "{num} systems are more lines than the {most} that can be told apart": (
        "{num} 个系统超过可区分的 {most} 条线"
    ),
    "no cell has a value of {metrics}": "没有任何结果含有 {metrics}",
    # page
    "Map: arrow keys move, plus and minus zoom, 0 resets the view": "地图：方向键移动，加减号缩放，0 复位",
    "Colour by": "着色方式",
    "Topics": "主题",
    "Labels": "类别",
    "Charts": "图表",
    "View": "视图",
    "Zoom in (+)": "放大（+）",
    "Zoom in": "放大",
    "Zoom out (-)": "缩小（-）",
    "Zoom out": "缩小",
    "Reset view (0)": "复位（0）",
    "Reset": "复位",
    "Topics and documents": "主题和文档",
    "Search titles, terms, labels": "搜索标题、词语、类别",
    "Search titles, terms and labels": "搜索标题、词语和类别",
    "This page draws its map with JavaScript, which is switched off.": (
        "本页用 JavaScript 绘图，而它已被关闭。"
    ),
    "This browser draws no WebGL2: the map stays empty, topics and search work.": (
        "此浏览器不支持 WebGL2：地图为空，主题和搜索仍可使用。"
    ),
    "The map could not be opened: {reason}": "无法打开地图：{reason}",
    "{num} topic": "{num} 个主题",
    "{num} topics": "{num} 个主题",
    "{num} document": "{num} 篇文档",
    "{num} documents": "{num} 篇文档",
    "{num} of ": "{num}／",
    "{first} to {last}": "{first} 至 {last}",
    "{num} beyond the view": "{num} 篇在视图之外",
    "Share of documents by {unit}, {first} to {last}; arrow keys read it": (
        "{first} 至 {last} 按{unit}的文档占比；方向键读数"
    ),
    "Share of the documents of each {unit}, with a bootstrap band of {level}.": (
        "占各{unit}文档的比例，带 {level} 自助法置信带。"
    ),
    "Results": "搜索结果",
    "All topics": "全部主题",
    "Order of the topics": "主题排序",
    "largest first": "由大到小",
    "rising first": "上升在前",
    "like beside like": "相似相邻",
    "by name": "按名称",
    "Terms": "词语",
    "Words of the model": "模型的词",
    "Over time": "随时间变化",
    "Place among the topics": "在主题树中的位置",
    "Previous topic": "上一个主题",
    "Next topic": "下一个主题",
    "Topic {num}": "主题 {num}",
    "Documents whose main topic it is": "以此为主要主题的文档",
    "{share} of all text": "占全部文本的 {share}",
    "Mean share of this topic over all documents": "该主题在所有文档中的平均占比",
    "Trend of its share over time": "其占比随时间的趋势",
    "Search for {term}": "搜索 {term}",
    "similarity {value}": "相似度 {value}",
    "nearest": "最接近",
    "diverse": "多样",
    "Which documents": "显示哪些文档",
    "Documents": "文档",
    "Untitled": "无标题",
    "{share} of this topic": "此主题占 {share}",
    "Show more": "显示更多",
    "Nothing has all of these words. Try fewer of them.": "没有同时含有这些词的结果，请减少词数。",
}


@dataclass(frozen=True)
class Language:
    """Phrases of one language, by the English phrase."""

    code: str = "en"
    phrases: dict[str, str] = field(default_factory=dict)

    def __call__(self, phrase: str, /, **values: object) -> str:
        """Return the phrase with its values; KeyError for one that this language lacks."""
        return (self.phrases[phrase] if self.phrases else phrase).format(**values)

    def known(self, phrase: str) -> str:
        """Return a name from data or code, such as that of a loss, translated where it is known."""
        return self.phrases.get(phrase, phrase)


ENGLISH = Language()
LANGUAGES = {"en": ENGLISH, "zh": Language("zh", CHINESE)}
