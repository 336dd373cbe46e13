//! Numbers and lengths of time as the command, the pages and the findings of checks write them.

/// Groups thousands: `1,234,567`.
pub fn count(number: impl Into<i128>) -> String {
    let number: i128 = number.into();
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

/// `1 event`, `12,345 events`.
pub fn counted(number: impl Into<i128>, thing: &str) -> String {
    let number: i128 = number.into();
    format!("{} {thing}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A number of seconds in one unit: `42s`, `17m`, `5h`, `12d`. A negative one is `0s`.
pub fn span(secs: i64) -> String {
    let secs = secs.max(0);
    match secs {
        0..=119 => format!("{secs}s"),
        120..=7_199 => format!("{}m", secs / 60),
        7_200..=172_799 => format!("{}h", secs / 3_600),
        _ => format!("{}d", secs / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped() {
        assert_eq!([0, 999, 1_000, -1_234_567].map(count), ["0", "999", "1,000", "-1,234,567"]);
        assert_eq!([1, 2_000].map(|number| counted(number, "row")), ["1 row", "2,000 rows"]);
    }

    #[test]
    fn spans_are_short() {
        let spans = [-5, 0, 119, 120, 7_200, 172_800, 99 * 86_400].map(span);
        assert_eq!(spans, ["0s", "0s", "119s", "2m", "2h", "2d", "99d"]);
    }
}
