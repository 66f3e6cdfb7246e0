"""Domain folders for tests: the shared retail data where it is, and a tiny domain of our own written to a file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def retail_folder() -> Path:
    """The retail folder of tau2-bench, or a skipped test."""
    found = Path(os.environ.get("PAGERPROOF_SHARED_DATA", ROOT.parent / "shared" / "data")) / "tau2_retail"
    if not found.is_dir():
        pytest.skip(f"tau2-bench's retail data is not in {found}; PAGERPROOF_SHARED_DATA names what holds tau2_retail/")
    return found


def action(name: str, number: int = 0, **arguments: Any) -> dict[str, Any]:
    return {"action_id": f"0_{number}", "name": name, "arguments": arguments}


def task(*actions: dict[str, Any], id: str = "0", domain: str = "retail", **more: Any) -> dict[str, Any]:
    """A task as tau2-bench writes it."""
    instructions = {
        "domain": domain,
        "known_info": "You are Ann Smith in zip code 12345.",
        "reason_for_call": "You want to cancel your order #W1, which you no longer need.",
        "task_instructions": ".",
        "unknown_info": "You do not remember your email address.",
    }
    criteria = {"actions": list(actions), "nl_assertions": None, "reward_basis": ["DB", "NL_ASSERTION"]}
    return {"id": id, "user_scenario": {"instructions": instructions}, "evaluation_criteria": criteria, **more}


CANCEL = action("cancel_pending_order", order_id="#W1", reason="no longer needed")


def tiny_db() -> dict[str, Any]:
    """Two users, three orders, two products."""
    return {
        "users": {
            "ann_smith_1": {
                "user_id": "ann_smith_1",
                "name": {"first_name": "Ann", "last_name": "Smith"},
                "address": _address("12345"),
                "email": "ann@example.com",
                "payment_methods": {
                    "gift_card_1": {"source": "gift_card", "id": "gift_card_1", "balance": 20.0},
                    "gift_card_3": {"source": "gift_card", "id": "gift_card_3", "balance": 500.0},
                    "credit_card_2": {"source": "credit_card", "id": "credit_card_2"},
                    "paypal_4": {"source": "paypal", "id": "paypal_4"},
                },
                "orders": ["#W1", "#W2"],
            },
            "bob_jones_2": {
                "user_id": "bob_jones_2",
                "name": {"first_name": "Bob", "last_name": "Jones"},
                "address": _address("54321"),
                "email": "bob@example.com",
                "payment_methods": {"paypal_9": {"source": "paypal", "id": "paypal_9"}},
                "orders": ["#W3"],
            },
        },
        "orders": {
            "#W1": _order("#W1", "ann_smith_1", "pending", "gift_card_1"),
            "#W2": _order("#W2", "ann_smith_1", "delivered", "credit_card_2"),
            "#W3": _order("#W3", "bob_jones_2", "processed", "paypal_9"),
        },
        "products": {
            "100": {
                "name": "Lamp",
                "product_id": "100",
                "variants": {
                    "101": _variant("101", "white", 30.0),
                    "102": _variant("102", "black", 45.5),
                    "103": _variant("103", "green", 25.25),
                    "104": _variant("104", "red", 31.0, available=False),
                    "105": _variant("105", "gold", 300.0),
                },
            },
            "200": {
                "name": "Mug",
                "product_id": "200",
                "variants": {"201": _variant("201", "blue", 8.0), "202": _variant("202", "grey", 9.0)},
            },
        },
    }


def _address(zip: str) -> dict[str, str]:
    return {"address1": "1 Elm", "address2": "", "city": "Ada", "country": "USA", "state": "OH", "zip": zip}


def _variant(item_id: str, color: str, price: float, *, available: bool = True) -> dict[str, Any]:
    return {"item_id": item_id, "options": {"color": color}, "available": available, "price": price}


def _order(order_id: str, user_id: str, status: str, paid_by: str) -> dict[str, Any]:
    lamp = {"name": "Lamp", "product_id": "100", "item_id": "101", "price": 30.0, "options": {"color": "white"}}
    mug = {"name": "Mug", "product_id": "200", "item_id": "201", "price": 8.0, "options": {"color": "blue"}}
    return {
        "order_id": order_id,
        "user_id": user_id,
        "address": _address("12345"),
        "items": [lamp, mug, dict(mug)],
        "status": status,
        "fulfillments": [],
        "payment_history": [{"transaction_type": "payment", "amount": 46.0, "payment_method_id": paid_by}],
    }


def write_folder(folder: Path, tasks: object, db: object = None) -> Path:
    """Write a domain folder; text is written as it is, anything else as JSON."""
    folder.mkdir(exist_ok=True)
    for name, value in (("tasks.json", tasks), ("db.json", tiny_db() if db is None else db)):
        (folder / name).write_text(value if isinstance(value, str) else json.dumps(value), "utf-8")
    return folder
