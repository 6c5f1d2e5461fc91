"""What a person is told, as it must be."""


def is_one_sentence(text):
    return text.endswith(".") and "\n" not in text and "Traceback" not in text and len(text) < 300
