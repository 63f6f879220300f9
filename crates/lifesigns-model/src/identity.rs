//! Who a service is.
