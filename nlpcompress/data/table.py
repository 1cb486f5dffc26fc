"""The table of data sets: name → reader, and the tasks each serves."""

from nlpcompress.core.registry import Registry

DATASETS = Registry(
    "data set",
    {
        "movie-snippets": "nlpcompress.data.movies:read_snippets",
        "movie-ratings": "nlpcompress.data.movies:read_ratings",
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

TASKS = ("text-classification", "text-regression", "image-classification")

# Names that are absent (files, the hub, a user's own) are judged by their columns, once read.
DATASET_TASKS = {
    "movie-snippets": ("text-classification",),
    "movie-ratings": ("text-regression",),
    "newsgroups": ("text-classification",),
    "bbc-news": ("text-classification",),
    "digits": ("image-classification",),
    "fashion-mnist": ("image-classification",),
    "synthetic-text": ("text-classification",),
    "synthetic-images": ("image-classification",),
}
