//! CPU and memory as Kubernetes writes them.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Serialize, Serializer};

/// Most digits in a quantity; what is longer is not a number anybody means.
const DIGITS_MAX: usize = 18;

/// Largest exponent in a quantity such as `1e3`.
const EXPONENT_MAX: u32 = 18;

/// Billionths in one: amounts are kept in the smallest unit that the notation has (`n`).
const NANO: u128 = 1_000_000_000;

/// An amount in Kubernetes' notation: `250m`, `0.5`, `64Mi`, `1e3`.
///
/// Kept as it was written, because it goes into pods and answers that way, and as a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantity {
    text: String,
    /// The amount in billionths, rounded up.
    nano: u128,
}

/// A text that is no [`Quantity`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a Kubernetes quantity: a number that is not negative, then nothing or one of m k M G T P E Ki Mi Gi Ti Pi Ei, as in 250m or 64Mi"
)]
pub struct InvalidQuantity;

impl Quantity {
    /// The quantity as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The amount in thousandths, rounded up: for CPU, millicores.
    #[must_use]
    pub fn milli(&self) -> u64 {
        saturate(self.nano.div_ceil(NANO / 1_000))
    }

    /// The amount in whole units, rounded up: for memory, bytes.
    #[must_use]
    pub fn units(&self) -> u64 {
        saturate(self.nano.div_ceil(NANO))
    }

    /// The smaller of two amounts.
    pub(super) fn smaller(self, other: &Self) -> Self {
        if other.nano < self.nano { other.clone() } else { self }
    }

    /// Whether this is more than `other`.
    pub(super) fn exceeds(&self, other: &Self) -> bool {
        self.nano > other.nano
    }
}

fn saturate(amount: u128) -> u64 {
    u64::try_from(amount).unwrap_or(u64::MAX)
}

impl FromStr for Quantity {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let unsigned = text.strip_prefix('+').unwrap_or(text);
        let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = format!("{whole}{fraction}");
        if digits.len() > DIGITS_MAX || fraction.contains('.') {
            return Err(InvalidQuantity);
        }
        let mantissa: u128 = digits.parse().map_err(|_| InvalidQuantity)?;
        let (times, parts) = scale(suffix).ok_or(InvalidQuantity)?;
        // At most 18 digits are after the point, so ten to their number fits.
        let parts = 10_u128.pow(u32::try_from(fraction.len()).map_err(|_| InvalidQuantity)?) * parts;
        // At most 10^18 × 10^9 × 2^60 and so within 128 bits but for the largest: those are refused.
        let nano = mantissa.checked_mul(NANO).and_then(|nano| nano.checked_mul(times));
        Ok(Self { text: text.to_owned(), nano: nano.ok_or(InvalidQuantity)?.div_ceil(parts) })
    }
}

/// Multiplier and divisor of a suffix.
fn scale(suffix: &str) -> Option<(u128, u128)> {
    Some(match suffix {
        "" => (1, 1),
        "n" => (1, 1_000_000_000),
        "u" => (1, 1_000_000),
        "m" => (1, 1_000),
        "k" => (1_000, 1),
        "M" => (1_000_000, 1),
        "G" => (1_000_000_000, 1),
        "T" => (1_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        _ => return exponent(suffix.strip_prefix(['e', 'E'])?),
    })
}

fn exponent(text: &str) -> Option<(u128, u128)> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let power = digits.parse().ok().filter(|&power: &u32| power <= EXPONENT_MAX)?;
    let ten = 10_u128.pow(power);
    Some(if negative { (1, ten) } else { (ten, 1) })
}

impl fmt::Display for Quantity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// Amounts by resource, as under `requests` or `limits` of a pod: `cpu`, `memory`, and what else a
/// cluster counts (`ephemeral-storage`, `vendor.example/gpu`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ResourceList(pub(super) BTreeMap<String, Quantity>);

impl ResourceList {
    /// CPU in thousandths of a core, rounded up.
    #[must_use]
    pub fn cpu_millicores(&self) -> Option<u64> {
        self.get("cpu").map(Quantity::milli)
    }

    /// Memory in bytes, rounded up.
    #[must_use]
    pub fn memory_bytes(&self) -> Option<u64> {
        self.get("memory").map(Quantity::units)
    }

    /// The amount of any resource.
    #[must_use]
    pub fn get(&self, resource: &str) -> Option<&Quantity> {
        self.0.get(resource)
    }

    /// Every resource with its amount, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Quantity)> {
        self.0.iter().map(|(resource, quantity)| (resource.as_str(), quantity))
    }

    /// Whether no resource is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_the_number_that_kubernetes_makes_of_it() {
        for (text, milli, units) in [
            ("0", 0, 0),
            ("50m", 50, 1),
            ("1", 1_000, 1),
            ("+1", 1_000, 1),
            ("0.5", 500, 1),
            (".5", 500, 1),
            ("2.", 2_000, 2),
            ("1.5Gi", 1_610_612_736_000, 1_610_612_736),
            ("64Mi", 67_108_864_000, 67_108_864),
            ("64M", 64_000_000_000, 64_000_000),
            ("1k", 1_000_000, 1_000),
            ("1e3", 1_000_000, 1_000),
            ("1E3", 1_000_000, 1_000),
            ("5e-1", 500, 1),
            ("1E", u64::MAX, 1_000_000_000_000_000_000),
            ("100n", 1, 1),
            ("1500u", 2, 1),
            ("0.0001", 1, 1),
        ] {
            let quantity: Quantity = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((quantity.milli(), quantity.units()), (milli, units), "{text}");
            assert_eq!(quantity.to_string(), text);
        }
    }

    #[test]
    fn what_kubernetes_would_refuse_is_refused() {
        let long = "1".repeat(DIGITS_MAX + 1);
        for text in [
            "",
            ".",
            "+",
            "-1",
            "++1",
            "1 ",
            " 1",
            "64mi",
            "64MB",
            "1K",
            "Mi",
            "1.2.3",
            "1e",
            "1e+",
            "1e1.5",
            "1e99",
            "1e--1",
            "0x10",
            "NaN",
            "999999999999999999Ei",
            &long,
        ] {
            assert_eq!(text.parse::<Quantity>(), Err(InvalidQuantity), "{text:?}");
        }
    }
}
