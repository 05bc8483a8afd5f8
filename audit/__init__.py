"""Audit of explainers: does a saliency map explain the model that it claims to explain?"""

__version__ = "0.2.0"
