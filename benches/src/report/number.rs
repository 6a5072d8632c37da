//! Figures as people read them: three digits that mean something, thousands apart.

use crate::load::Spread;

/// Digits of a figure that mean something.
const DIGITS: i32 = 3;

/// A figure with three digits: `1,230,000`, `0.0123`.
pub fn figure(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { "0".to_owned() } else { "-".to_owned() };
    }
    let magnitude = value.abs().log10().floor() as i32;
    let unit = 10_f64.powi(magnitude + 1 - DIGITS);
    let rounded = (value / unit).round() * unit;
    let decimals = usize::try_from(DIGITS - 1 - magnitude).unwrap_or(0);
    let text = format!("{rounded:.decimals$}");
    match text.split_once('.') {
        Some((integer, fraction)) => format!("{}.{fraction}", grouped(integer)),
        None => grouped(&text),
    }
}

/// A whole number: `336,776`.
pub fn whole(value: u64) -> String {
    grouped(&value.to_string())
}

/// The median, and the least and greatest beside it: `120 (110–140)`.
pub fn cell(spread: Spread) -> String {
    let Spread { min, median, max } = spread;
    format!("{} ({}–{})", figure(median), figure(min), figure(max))
}

/// How many times `base` a figure is: `1.7x`.
pub fn ratio(value: f64, base: f64) -> String {
    if base == 0.0 { "-".to_owned() } else { format!("{}x", figure(value / base)) }
}

/// A share: `12 %`.
pub fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn grouped(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let mut text = String::from(sign);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits() {
        for (value, text) in [
            (1_234_567.0, "1,230,000"),
            (999.6, "1,000"),
            (123.4, "123"),
            (12.34, "12.3"),
            (1.0, "1.00"),
            (0.012_345, "0.0123"),
            (0.0, "0"),
            (f64::NAN, "-"),
            (f64::INFINITY, "-"),
        ] {
            assert_eq!(figure(value), text, "{value}");
        }
        assert_eq!(whole(336_776), "336,776");
        assert_eq!(cell(Spread { min: 1.0, median: 2.0, max: 3.5 }), "2.00 (1.00–3.50)");
        assert_eq!(ratio(3.0, 2.0), "1.50x");
        assert_eq!(ratio(3.0, 0.0), "-");
    }
}
