//! Pages of the lists below an object.

use crate::lenient::{each_element, fields, flag, text, text_of};

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    pub elements: Vec<T>,
    pub has_more: bool,
    /// The cursor of the next page, which may differ from the last element's id.
    pub last_id: Option<String>,
}

impl<T> Page<T> {
    /// Parses at most `max` elements; `parse` skips those that it cannot use.
    pub(crate) fn parse(
        raw: &[u8],
        max: usize,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Self, serde_json::Error> {
        let json = text_of(raw);
        let [data, has_more, last_id] = fields(&json, ["data", "has_more", "last_id"])?;
        let mut elements = Vec::new();
        each_element(data, |element| {
            if elements.len() < max {
                elements.extend(parse(element.get()));
            }
        });
        Ok(Self { elements, has_more: flag(has_more).unwrap_or(false), last_id: text(last_id) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_its_usable_elements_up_to_the_limit() {
        let json = br#"{"object":"list","data":[1,"x",2,3,4],"has_more":true,"last_id":"b"}"#;
        let page = Page::parse(json, 3, |raw| raw.parse::<i32>().ok()).unwrap();
        let expected = Page { elements: vec![1, 2, 3], has_more: true, last_id: Some("b".to_owned()) };
        assert_eq!(page, expected);
        let odd = Page::parse(br#"{"data":{},"has_more":1}"#, 3, |raw| raw.parse::<i32>().ok()).unwrap();
        assert_eq!(odd, Page { elements: vec![], has_more: false, last_id: None });
        assert!(Page::parse(b"[]", 3, |_| Some(())).is_err());
    }
}
