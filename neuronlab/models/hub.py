"""The model hub: whether it answers, and what a model needs from it."""

# Seconds that the hub has to answer, of which no load takes more than one or two.
_ANSWERS = 8.0
# What a model needs from the hub; of weights, safetensors where there are any.
_FILES = ("*.json", "*.txt", "*.model", "*.jinja")


def hub_reachable() -> bool:
    """Whether the model hub answers, through a proxy where there is one.

    Asked first, and once: its client tries again for minutes.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=_ANSWERS)
    except Exception:  # refused, silent, no such host: of several libraries
        return False
    return True


def downloaded(name: str) -> str:
    """The folder of a hub model's newest files, which are fetched where they are not here.

    Before a model is made of them: nobody waits for a download who does not want this model.
    """
    from huggingface_hub import HfApi, snapshot_download

    files = [file.rfilename for file in HfApi().model_info(name, timeout=_ANSWERS).siblings or ()]
    weights_of = "*.safetensors" if any(f.endswith(".safetensors") for f in files) else "*.bin"
    return snapshot_download(
        name,
        allow_patterns=[*_FILES, weights_of],
        ignore_patterns=["*/*"],
        etag_timeout=_ANSWERS,
    )
