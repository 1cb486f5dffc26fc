"""The table of data sets: name → reader, and the tasks each serves."""

from nlpcompress.core.registry import Registry

DATASETS = Registry(
    "data set",
    {
        "movie-snippets": "nlpcompress.data.movies:read_snippets",
        "movie-ratings": "nlpcompress.data.movies:read_ratings",
        "other-ratings": "nlpcompress.data.movies:read_other_ratings",
        "newsgroups": "nlpcompress.data.newsgroups:read_newsgroups",
        "bbc-news": "nlpcompress.data.bbc_news:read_bbc_news",
        "digits": "nlpcompress.data.digits:read_digits",
        "fashion-mnist": "nlpcompress.data.fashion_mnist:read_fashion_mnist",
        "synthetic-text": "nlpcompress.data.synthetic:read_text",
        "synthetic-images": "nlpcompress.data.synthetic:read_images",
        "csv": "nlpcompress.data.files:read_files",
        "tsv": "nlpcompress.data.files:read_files",
        "json": "nlpcompress.data.files:read_files",
        "parquet": "nlpcompress.data.files:read_files",
    },
)

HUB = Registry("hub", {"hub": "nlpcompress.data.hub:read_hub"})

FILE_FORMATS = ("csv", "tsv", "json", "parquet")

IMAGES = "image-classification"
MASKED_LM, SENTENCE_ORDER, PRETRAINING = "masked-lm", "sentence-order", "pretraining"
CORPUS_TASKS = (MASKED_LM, SENTENCE_ORDER, PRETRAINING)
"""Tasks that make their labels out of plain text."""
MASKING_TASKS = (MASKED_LM, PRETRAINING)
LABELLED_TEXT_TASKS = ("text-classification", "text-regression")
TASKS = (*LABELLED_TEXT_TASKS, IMAGES, *CORPUS_TASKS)

# Names that are absent (files, the hub, a user's own) are judged by their columns, once read.
DATASET_TASKS = {
    "movie-snippets": ("text-classification", MASKED_LM),
    "movie-ratings": ("text-regression", MASKED_LM),
    "other-ratings": ("text-regression", MASKED_LM),
    "newsgroups": ("text-classification", *CORPUS_TASKS),
    "bbc-news": ("text-classification", *CORPUS_TASKS),
    "digits": (IMAGES,),
    "fashion-mnist": (IMAGES,),
    "synthetic-text": ("text-classification", MASKED_LM),
    "synthetic-images": (IMAGES,),
}
