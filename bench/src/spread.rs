//! Several measurements of the same thing.

/// The median of several measurements, and how far they lie apart.
#[derive(Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(*values.get(middle.checked_sub(1)?)?, values[middle])
        } else {
            values[middle]
        };
        Some(Spread { median, least: *values.first()?, most: *values.last()? })
    }

    /// The spread of these values in words; a dash for none.
    pub(crate) fn shown(values: impl Iterator<Item = f64>, digits: usize) -> String {
        Spread::of(values).map_or("–".to_owned(), |spread| spread.show(digits))
    }

    pub(crate) fn show(self, digits: usize) -> String {
        format!("{:.digits$} ({:.digits$}–{:.digits$})", self.median, self.least, self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[test]
    fn the_median_lies_in_the_middle() {
        let check = |values: &[f64], shown: &str| {
            assert_eq!(Spread::of(values.iter().copied()).unwrap().show(1), shown);
        };
        check(&[3.0], "3.0 (3.0–3.0)");
        check(&[3.0, 1.0], "2.0 (1.0–3.0)");
        check(&[5.0, 1.0, 2.0], "2.0 (1.0–5.0)");
        assert!(Spread::of(std::iter::empty()).is_none());
    }
}
