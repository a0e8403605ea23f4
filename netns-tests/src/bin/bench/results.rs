//! The figures of all takes, and what they come to.

use std::collections::BTreeMap;

use crate::case::Case;
use crate::column::{Figure, Measured};

/// What was measured so far.
#[derive(Debug, Default)]
pub(crate) struct Results {
    takes: BTreeMap<(Case, Figure), Vec<f64>>,
    /// What could not be measured and why.
    pub(crate) failures: Vec<String>,
}

/// What several takes of one figure come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Results {
    /// Adds the figures of one measurement.
    pub(crate) fn add(&mut self, case: Case, measured: &Measured) {
        for &(figure, value) in measured {
            self.takes.entry((case, figure)).or_default().push(value);
        }
    }

    /// The values of one figure, one for each take that succeeded.
    pub(crate) fn takes(&self, case: Case, figure: Figure) -> &[f64] {
        self.takes.get(&(case, figure)).map(Vec::as_slice).unwrap_or_default()
    }

    /// What the takes of one figure come to; `None` if none succeeded.
    pub(crate) fn summary(&self, case: Case, figure: Figure) -> Option<Summary> {
        summary(self.takes(case, figure))
    }

    /// The median divided by the kernel router's of this run.
    pub(crate) fn ratio(&self, case: Case, figure: Figure) -> Option<f64> {
        let kernel = self.summary(Case::KernelRouter, figure)?.median;
        let own = self.summary(case, figure)?.median;
        (figure.has_ratio() && kernel > 0.0).then(|| own / kernel)
    }
}

fn summary(values: &[f64]) -> Option<Summary> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (min, max) = (*sorted.first()?, *sorted.last()?);
    let (lower, upper) = (sorted.get((sorted.len() - 1) / 2)?, sorted.get(sorted.len() / 2)?);
    Some(Summary { median: f64::midpoint(*lower, *upper), min, max })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_lies_in_the_middle() {
        assert_eq!(summary(&[]), None);
        assert_eq!(summary(&[3.0, 1.0, 2.0]), Some(Summary { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(summary(&[4.0, 1.0]), Some(Summary { median: 2.5, min: 1.0, max: 4.0 }));
    }

    #[test]
    fn ratio_is_to_the_kernel_router_of_the_run() {
        let mut results = Results::default();
        results.add(Case::OneNode, &vec![(Figure::Tcp1, 12.0), (Figure::PacketsLost, 0.5)]);
        assert_eq!(results.ratio(Case::OneNode, Figure::Tcp1), None);
        results.add(Case::KernelRouter, &vec![(Figure::Tcp1, 24.0), (Figure::PacketsLost, 0.5)]);
        assert_eq!(results.ratio(Case::OneNode, Figure::Tcp1), Some(0.5));
        assert_eq!(results.ratio(Case::OneNode, Figure::PacketsLost), None);
    }
}
