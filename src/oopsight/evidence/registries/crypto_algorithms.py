"""Algorithms of the crypto layer."""

from __future__ import annotations

from oopsight.evidence.registries import Look

THING = "crypto algorithm"
REGISTERS = ("crypto_register_*",)

_ALG = "struct crypto_alg"


def search(look: Look) -> None:
    """``crypto_register_alg()`` leaves them."""
    head = ("struct list_head", look.variable("crypto_alg_list", "struct list_head").address_, "")
    for algorithm in look.entries(head, (_ALG, "cra_list"), "crypto algorithm"):

        def label(algorithm: int = algorithm) -> str:
            return look.string(algorithm + look.offset(_ALG, "cra_driver_name"))

        for member in ("cra_type", "cra_init", "cra_exit", "cra_module"):
            look.at(_ALG, algorithm, member, label)
