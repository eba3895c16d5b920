"""What the simulated company sells and the words its tills use. Standard costs are configuration."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from ingestion.sandbox.model import SimModifier, SimProduct

# name, option, price in rupiah, price in Australian cents (tax included)
_MODIFIERS = {
    "size": ("Size", "Large", 6000, 100),
    "oat": ("Milk", "Oat milk", 8000, 90),
    "shot": ("Espresso", "Extra shot", 5000, 60),
    "boba": ("Topping", "Boba", 5000, 80),
    "less": ("Sugar", "Less sugar", 0, 0),
    "egg": ("Extra", "Fried egg", 6000, 200),
    "sambal": ("Extra", "Sambal matah", 4000, 100),
    "ice": ("Topping", "Ice cream", 9000, 250),
}

# sku, name, category, group, rupiah, Australian cents (tax included), share of sales, modifiers
_ITEMS = (
    ("KOP-001", "Espresso", "Coffee", "beverage", 22000, 420, 4, "shot"),
    ("KOP-002", "Americano", "Coffee", "beverage", 27500, 470, 9, "size shot"),
    ("KOP-003", "Cafe Latte", "Coffee", "beverage", 34500, 520, 12, "size oat shot"),
    ("KOP-004", "Cappuccino", "Coffee", "beverage", 34500, 520, 9, "size oat"),
    ("KOP-005", "Kopi Susu Gula Aren", "Coffee", "beverage", 29000, 580, 15, "size shot less"),
    ("KOP-006", "Kopi Tubruk Toraja", "Coffee", "beverage", 24500, 550, 4, "less"),
    ("KOP-007", "Cold Brew Gayo", "Coffee", "beverage", 38000, 650, 4, "oat"),
    ("TEH-001", "Teh Tarik", "Tea", "beverage", 23500, 500, 5, "size less"),
    ("TEH-002", "Thai Tea Boba", "Tea", "beverage", 31500, 690, 5, "boba less"),
    ("MIN-001", "Jus Alpukat", "Juice", "beverage", 32000, 750, 4, "less"),
    ("MIN-002", "Air Mineral", "Water", "beverage", 10000, 350, 6, ""),
    ("NAS-001", "Nasi Goreng Kampung", "Rice", "food", 48500, 1790, 8, "egg sambal"),
    ("NAS-002", "Nasi Ayam Sambal Matah", "Rice", "food", 52000, 1890, 7, "egg sambal"),
    ("NAS-003", "Nasi Rawon", "Rice", "food", 57500, 1990, 3, "egg"),
    ("MIE-001", "Mie Goreng Jawa", "Noodles", "food", 45500, 1690, 5, "egg sambal"),
    ("MIE-002", "Laksa Betawi", "Noodles", "food", 49000, 1850, 3, "egg"),
    ("ROT-001", "Roti Bakar Cokelat", "Bread", "food", 26500, 890, 5, "ice"),
    ("ROT-002", "Croissant", "Bread", "food", 28000, 580, 6, ""),
    ("SNK-001", "Pisang Goreng", "Snacks", "food", 24000, 950, 6, "ice"),
    ("SNK-002", "Tahu Isi", "Snacks", "food", 19500, 850, 4, "sambal"),
    ("SNK-003", "Kentang Goreng", "Snacks", "food", 27500, 900, 5, ""),
    ("DES-001", "Es Teler", "Dessert", "food", 33500, 1100, 3, "ice"),
    ("RTL-001", "Biji Kopi Toraja 200 g", "Retail", "retail", 95000, 2450, 2, ""),
    ("RTL-002", "Biji Kopi Gayo 200 g", "Retail", "retail", 89000, 2350, 2, ""),
    ("RTL-003", "Tumbler", "Retail", "retail", 149000, 3200, 1, ""),
)

SHARES = tuple(item[6] for item in _ITEMS)

# channel, name on the till, share of checks at a restaurant, at a cafe
SALES_TYPES = (
    ("dine_in", "Dine In", 52, 34),
    ("takeaway", "Take Away", 18, 38),
    ("delivery_platform", "GoFood", 14, 13),
    ("delivery_platform", "GrabFood", 10, 10),
    ("delivery_own", "Delivery", 4, 4),
    ("catering", "Catering", 2, 1),
)
SALES_TYPES_ABROAD = (
    ("dine_in", "Dine In", 50, 50),
    ("takeaway", "Take Away", 33, 33),
    ("delivery_platform", "Uber Eats", 10, 10),
    ("delivery_platform", "DoorDash", 6, 6),
    ("catering", "Catering", 1, 1),
)

# tender, name on the till, share of checks that are neither platform orders nor catering
TENDERS = (
    ("qris", "QRIS", 36),
    ("cash", "Cash", 24),
    ("debit", "Debit Card", 12),
    ("credit_card", "Credit Card", 10),
    ("ewallet", "GoPay", 8),
    ("ewallet", "OVO", 4),
    ("ewallet", "ShopeePay", 3),
    ("gift_card", "Gift Card", 2),
    ("transfer", "Bank Transfer", 1),
)
TENDERS_ABROAD = (
    ("credit_card", "Visa", 38),
    ("credit_card", "Mastercard", 24),
    ("debit", "EFTPOS", 20),
    ("cash", "Cash", 16),
    ("gift_card", "Gift Card", 2),
)
UNKNOWN_TENDER = ("mystery", "Voucher Arisan")

# name on the till, tenths of a percent
DISCOUNTS = (("Happy Hour 15%", 150), ("Member 12.5%", 125), ("Student 10%", 100), ("Launch Promo 20%", 200))
COMPS = ("Owner comp", "Service recovery", "Staff meal")
UNKNOWN_DISCOUNT = ("Promo Misterius", 100)
REFUND_REASONS = ("Returned goods", "Accidental charge", "Cancelled order", "Quality complaint")


def menu(currency: str, cost: Callable[[str], Decimal]) -> tuple[SimProduct, ...]:
    """The menu in an outlet's currency (IDR or AUD); `cost` gives a sku's standard cost."""
    abroad = currency == "AUD"
    numbers = {key: number for number, key in enumerate(_MODIFIERS, start=1)}

    def price(rupiah: int, cents: int) -> Decimal:
        return Decimal(cents).scaleb(-2) if abroad else Decimal(rupiah)

    def code(sku: str) -> str:
        return f"AU-{sku}" if abroad else sku  # bought and cooked abroad: a product of its own

    def modifier(key: str) -> SimModifier:
        name, option, rupiah, cents = _MODIFIERS[key]
        return SimModifier(numbers[key], name, option, price(rupiah, cents))

    return tuple(
        SimProduct(
            number=number,
            sku=code(sku),
            name=name,
            category=category,
            group=group,
            price=price(rupiah, cents),
            unit_cost=cost(code(sku)),
            modifiers=tuple(modifier(key) for key in modifiers.split()),
        )
        for number, (sku, name, category, group, rupiah, cents, _, modifiers) in enumerate(_ITEMS, start=1)
    )
