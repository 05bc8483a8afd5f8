"""The words of a report, for readers who meet them for the first time."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

GLOSSARY: Final = MappingProxyType(
    {
        "explainer": "A method that draws saliency maps for a model.",
        "saliency map": "How much each place of a picture matters to the score of a target.",
        "target": "What a picture is scored for: a text, or a class.",
        "score": "What the model gives for a picture and a target: a cosine, or a logit.",
        "pair": "A picture and a target that is in it; a picture with two objects makes two.",
        "right pair": "Its target scores above every target that the picture does not show.",
        "margin": "The score of a pair minus the best score of a target that is not there.",
        "accuracy per picture": "The share of pictures whose highest score belongs to a class that "
        "is there. It is shown beside the share of right pairs, never judged.",
        "block, head": "Parts of a transformer: blocks follow each other, heads of attention lie "
        "beside each other in a block. Both are counted from 0.",
        "intervention": "A change of the model that is made on purpose, to see what a map does.",
        "ladder, rung": "Models of graded performance, such as copies with noise in their weights; "
        "each is a rung.",
        "control": "An explainer whose outcome is known beforehand: a faithful one, which has to "
        "pass, or one that never looks at the model, which has to fail.",
        "model-free map": "A map made without the model: a center prior, edges, or random numbers.",
        "twin": "The same method without its modification of the model.",
        "localization": "How well a map finds the object: average precision of its mask, where 0 "
        "is chance and 1 is perfect, unless --quality named another measure.",
        "faithfulness": "How fast the score rises when the places that a map ranks first are shown "
        "first, less how long it stays when they are hidden first.",
        "interval": "Where the true number lies, at the level that is stated. Verdicts go by "
        "intervals, not by the measured number alone.",
        "Holm": "A correction for judging several checks at once, so that chance accuses no one: "
        "those that were tested together share one error rate for wrong passes and one for wrong "
        "violations.",
        "witness": "The worst pair of a violation, and the command that shows it again.",
        "waiver": "A violation that a named person accepts until a stated day.",
    }
)
