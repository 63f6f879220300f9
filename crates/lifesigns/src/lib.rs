//! Health resources for any API, fed by its real traffic.
