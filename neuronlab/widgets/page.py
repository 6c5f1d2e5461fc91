"""The top of every page, and the words that need explaining."""

from __future__ import annotations

import streamlit as st

GLOSSARY = {
    "Neuron": "One number inside a model, computed anew for every text: a detector that is loud on "
    "some texts and nearly silent on most. The FFN is made of them, and so are queries, keys, "
    "values and what attention gathers.",
    "Activation": "The number that a neuron has at a token: how loud it is there, and with which "
    "sign.",
    "Score": "How much of a prediction a method puts down to a neuron: above 0 it speaks for the "
    "target, below 0 against it.",
    "Query, key, value": "Three lists of numbers that attention makes of every token: what it asks "
    "earlier tokens for (query), what it offers to be found by (key), and what it hands on where a "
    "query fits its key (value). Each number is a neuron.",
    "Token": "A piece of text that a model reads as one: a word, or a part of one.",
    "Embedding": "The list of numbers that a model looks up for each token, before its first "
    "block: there the stream begins.",
    "Block": "What a model repeats: attention, then FFN; also called a layer, and counted from 0.",
    "Head": "One of several readers that attention has side by side.",
    "Logit": "The number that a token has before these numbers are made probabilities. A change of "
    "the logit is how far something pushes the token up, or down where it is negative.",
    "Log-probability": "The natural logarithm of a probability, 0 where something is certain: -0.7 "
    "is a half, -4.6 a hundredth.",
    "Log-odds": "How much likelier one answer is than another, as the logarithm of their ratio; 0 "
    "is a tie.",
    "p": "How often a random set does at least as much (in a proof: moves the answer as far, up or "
    "down), the chosen one counting as one of them: with 20 sets never below 1/21.",
    "FFN": "The part of a block that looks at each token by itself: its neurons look for something "
    "in the stream, and write something into it.",
    "Stream": "The list of numbers that each token has, and to which every layer adds; at the end "
    "the next token is read off it. In papers: residual stream.",
    "Attention": "The part of a block that lets a token read from earlier ones: where its query "
    "fits a key, the value there is taken along.",
    "Attribution": "How much of a prediction is due to each neuron.",
    "Integrated gradients": "Turn the neurons up from nothing to what they are, and add up how "
    "much the prediction follows each of them on the way.",
    "Completeness": "The scores of a layer add up to what switching all of them off would cost.",
    "Suppress": "Set the neuron to zero while the model runs.",
    "Matched random set": "As many neurons drawn at random from the same layers and components: "
    "what an effect has to beat. Most neurons are nearly silent; matched in activity, each is "
    "drawn among those most like a chosen one in activation and in how much they write.",
    "Bystander": "A prompt that asks for something else, of the same kind or of another: what "
    "becomes of its answer tells whether the model was broken.",
    "Specificity": "How many times as much the answer itself changes as bystanders do; at 1 they "
    "change alike.",
    "Basket": "The neurons you collect; every page can use them.",
    "Rank": "1 means the model's first choice.",
    "Writing neuron": "A neuron that, added to the stream where it belongs, raises the target's "
    "log-probability most: it writes the answer; “value neuron” in arXiv 2312.12141.",
    "Waking neuron": "An earlier neuron whose output makes writing neurons fire; “query neuron” in "
    "arXiv 2312.12141.",
    "Language-independent neuron": "A neuron that a fact rests on in every language asked.",
    "Degenerate pair": "Two neurons of which either alone can be switched off at little cost, but "
    "not both.",
    "Synergy": "What is left without both, over the product that two separate effects would leave; "
    "below 1 they back each other up.",
    "Success rate": "Change of the facts themselves over change of unrelated facts, suppressed "
    "plus enhanced; a ratio of means that says little without its parts.",
    "ROC curve": "For every threshold: how many true ones are called true, against how many false "
    "ones are.",
    "F1": "Harmonic mean of precision (share of true ones among those called true) and recall "
    "(share of the true ones that are called true).",
    "AUC": "Probability that a true one scores higher than a false one; .5 is chance.",
    "Submodel": "The model with all neurons of the chosen components switched off but those kept.",
    "Mean ablation": "Neurons go to their mean over residues instead of zero, which a model never "
    "sees.",
    "DSSP": "Secondary structure of a known structure, one letter for each residue.",
    "Masked model": "A model that fills in what is hidden, from both sides.",
    "Exemplars": "The proteins of a corpus that a neuron answers to most, and least.",
    "Label": "What a neuron's proteins, or the words where it is most positive, have in common.",
    "Held-out correlation": "Pearson's r between what the label predicts and what the neuron does, "
    "on proteins or texts that neither made nor chose the label.",
    "Control correlation": "The same with labels of the layer's other neurons (of a language "
    "model, of one other): what any label would get.",
    "Steering": "Changing neurons while a model generates, to move what it makes.",
    "Pseudo-perplexity": "How surprised a masked model is by a sequence: exp of the mean -log p of "
    "its residues, each hidden alone; 1 is no surprise, 20 is a guess.",
    "GRAVY": "Grand average of hydropathy: positive is hydrophobic, negative is soluble.",
    "Logit lens": "Reading a prediction off the stream before the last layer.",
    "MRR": "Mean reciprocal rank: the mean of 1 / rank of the right answer; 1 is best.",
    "Bootstrap interval": "Facts (or proteins) are drawn again and again, with replacement: the "
    "middle 95 % of what they give, a little wider where they are few.",
    "Jaccard index": "Of two sets, the size of what they share over the size of both together.",
}


# In a page's help: what stands above it is for everybody, what follows has the formulas.
EXACTLY = "\n## Exactly\n"


def header(title: str, question: str, paper: str, how_to_read: str, terms: tuple[str, ...]) -> None:
    """Title, the question a page answers, its paper, and help that folds open.

    Args:
        how_to_read: in Markdown; what follows ``EXACTLY`` folds open below the rest.
    """
    st.title(title)
    st.markdown(f"{question} :gray[{paper}]")
    if not how_to_read and not terms:
        return
    with st.expander("How to read this", icon=":material/help:"):
        words, _, exactly = how_to_read.partition(EXACTLY)
        st.markdown(words)
        for term in terms:
            st.markdown(f"**{term}.** {GLOSSARY[term]}")
        if exactly:
            formulas = "$" in exactly
            with st.expander(
                "Exactly, with formulas" if formulas else "Exactly",
                icon=f":material/{'function' if formulas else 'notes'}:",
            ):
                st.markdown(exactly)
