"""From the settings of the stages that cut texts to the rules that do it: for Spark and for LightPipeline."""

from __future__ import annotations

from typing import Any

from sparkxlmr.runtime.stage_options import Chosen
from sparkxlmr.text.sentences import SentenceRules, sentence_finder
from sparkxlmr.text.separators import SeparatorRules, separator_finder
from sparkxlmr.text.words import WordRules, word_finder

# The stage's name of each field of the rules.
_WORDS = {
    "target_pattern": "targetPattern",
    "context_chars": "contextChars",
    "prefix_pattern": "prefixPattern",
    "suffix_pattern": "suffixPattern",
    "infix_patterns": "infixPatterns",
    "exceptions": "exceptions",
    "case_sensitive_exceptions": "caseSensitiveExceptions",
    "split_pattern": "splitPattern",
    "split_chars": "splitChars",
    "min_length": "minLength",
    "max_length": "maxLength",
}
_SEPARATORS = {
    "pattern": "pattern",
    "to_lowercase": "toLowercase",
    "min_length": "minLength",
    "max_length": "maxLength",
    "trim_whitespace": "trimWhitespace",
    "preserve_position": "preservePosition",
}
_SENTENCES = {
    "use_abbreviations": "useAbbreviations",
    "detect_lists": "detectLists",
    "custom_bounds": "customBounds",
    "use_custom_bounds_only": "useCustomBoundsOnly",
    "custom_bounds_strategy": "customBoundsStrategy",
    "split_length": "splitLength",
    "min_length": "minLength",
    "max_length": "maxLength",
}


def word_rules(chosen: Chosen) -> WordRules:
    """A Tokenizer's rules, compiled once here so that a bad pattern shows before a text is cut.

    Raises SettingError where they cannot be used.

    >>> word_rules(Chosen({"splitChars": ["-"], "exceptions": None}, frozenset())).split_chars
    ('-',)
    """
    rules = WordRules(**_fields(chosen, _WORDS))
    word_finder(rules)
    return rules


def separator_rules(chosen: Chosen) -> SeparatorRules:
    """A RegexTokenizer's rules, compiled once here. Raises SettingError where they cannot be used."""
    rules = SeparatorRules(**_fields(chosen, _SEPARATORS))
    separator_finder(rules)
    return rules


def sentence_rules(chosen: Chosen) -> SentenceRules:
    """A SentenceDetector's rules, compiled once here. Raises SettingError where they cannot be used."""
    rules = SentenceRules(**_fields(chosen, _SENTENCES))
    sentence_finder(rules)
    return rules


def _fields(chosen: Chosen, names: dict[str, str]) -> dict[str, Any]:
    """The fields that have a value; lists as tuples, because rules are hashable."""
    values = {field: chosen.get(name) for field, name in names.items()}
    return {
        field: tuple(value) if isinstance(value, list) else value
        for field, value in values.items()
        if value is not None
    }
