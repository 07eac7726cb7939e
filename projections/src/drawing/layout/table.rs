//! Lists that are read and written by place, and know nothing beyond their end.

/// A list with a value for every place; beyond its end it has the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table<T>(Vec<T>);

impl<T: Copy + Default> Table<T> {
    /// A list of so many values.
    pub(super) fn filled(count: usize, value: T) -> Self {
        Self(vec![value; count])
    }

    /// The value at a place.
    pub(super) fn at(&self, place: usize) -> T {
        self.0.get(place).copied().unwrap_or_default()
    }

    /// Writes the value at a place.
    pub(super) fn set(&mut self, place: usize, value: T) {
        if let Some(slot) = self.0.get_mut(place) {
            *slot = value;
        }
    }

    /// How many values there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

impl<T> FromIterator<T> for Table<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// A list of lists.
#[derive(Clone, Debug, Default)]
pub(super) struct Lists<T>(Vec<Vec<T>>);

impl<T: Clone> Lists<T> {
    /// So many empty lists.
    pub(super) fn empty(count: usize) -> Self {
        Self(vec![Vec::new(); count])
    }

    /// The list at a place.
    pub(super) fn of(&self, place: usize) -> &[T] {
        self.0.get(place).map_or(&[], Vec::as_slice)
    }

    /// The list at a place, to be changed.
    pub(super) fn of_mut(&mut self, place: usize) -> Option<&mut Vec<T>> {
        self.0.get_mut(place)
    }

    /// Puts a value behind those of a list.
    pub(super) fn add(&mut self, place: usize, value: T) {
        if let Some(list) = self.0.get_mut(place) {
            list.push(value);
        }
    }

    /// All lists.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Vec<T>> + ExactSizeIterator {
        self.0.iter()
    }

    /// How many lists there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}
