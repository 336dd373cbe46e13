//! End-to-end tests live in `e2e/`, style rules as tests in `tidy/`; this library is empty.
