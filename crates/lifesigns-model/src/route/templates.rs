//! Templates that somebody wrote down, compiled for finding.

use std::error::Error;
use std::fmt;

use super::path_only;

const MAX_SEGMENTS: usize = 64;

/// A set of path templates as OpenAPI writes them: `/users/{id}`, `/files/{name}.json`.
///
/// A parameter stands for one or more characters within a segment. Where several templates fit, the one wins that
/// is concrete earlier in the path, a segment that is partly concrete coming between the two. Letters count as
/// they are written. A path with a slash at its end belongs to the template without one unless there is one with
/// it.
///
/// ```
/// use lifesigns_model::route::Templates;
/// let templates = Templates::new(["/users/{id}", "/users/me", "/users/{id}/items/{item_id}"]).unwrap();
/// assert_eq!(templates.find("/users/7"), Some("/users/{id}"));
/// assert_eq!(templates.find("/users/me"), Some("/users/me"));
/// assert_eq!(templates.find("/users/me/items/3"), Some("/users/{id}/items/{item_id}"));
/// assert_eq!(templates.find("/users"), None);
/// ```
#[derive(Clone, Debug)]
pub struct Templates {
    // A tree in which every node stands for the segments on the way to it; the first is the root.
    nodes: Vec<Node>,
    count: usize,
}

#[derive(Clone, Debug, Default)]
struct Node {
    /// The template that ends here.
    template: Option<Box<str>>,
    /// Concrete next segments, sorted.
    concrete: Vec<(Box<str>, usize)>,
    /// Next segments that are partly concrete, the most concrete first.
    partial: Vec<(Pattern, usize)>,
    /// The next segment that is one parameter as a whole.
    parameter: Option<usize>,
}

/// A segment with both text and parameters.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Pattern {
    /// The texts before, between and after the parameters; only the first and the last may be empty.
    texts: Vec<Box<str>>,
}

impl Templates {
    /// Compiles templates. The same template twice is the same as once.
    ///
    /// # Errors
    /// The first template that is none, or that fits exactly the paths of another one.
    pub fn new<'a>(templates: impl IntoIterator<Item = &'a str>) -> Result<Templates, TemplateError> {
        let mut compiled = Templates { nodes: vec![Node::default()], count: 0 };
        for template in templates {
            compiled
                .add(template)
                .map_err(|reason| TemplateError { template: template.to_owned(), reason })?;
        }
        Ok(compiled)
    }

    /// How many templates there are.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The template that `path` belongs to. Query and fragment are not looked at. Allocates nothing.
    pub fn find(&self, path: &str) -> Option<&str> {
        let path = path_only(path).strip_prefix('/')?;
        self.find_below(0, path).or_else(|| self.find_below(0, path.strip_suffix('/')?))
    }

    // Every node is visited once at most, since only one way leads to it; its depth is bounded.
    fn find_below(&self, node: usize, path: &str) -> Option<&str> {
        let node = &self.nodes[node];
        let (segment, rest) = match path.split_once('/') {
            Some((segment, rest)) => (segment, Some(rest)),
            None => (path, None),
        };
        let follow = |next: usize| match rest {
            Some(rest) => self.find_below(next, rest),
            None => self.nodes[next].template.as_deref(),
        };
        if let Ok(index) = node.concrete.binary_search_by(|(text, _)| (**text).cmp(segment))
            && let Some(found) = follow(node.concrete[index].1)
        {
            return Some(found);
        }
        for (pattern, next) in &node.partial {
            if pattern.fits(segment)
                && let Some(found) = follow(*next)
            {
                return Some(found);
            }
        }
        node.parameter.filter(|_| !segment.is_empty()).and_then(follow)
    }

    fn add(&mut self, template: &str) -> Result<(), Reason> {
        let path = template.strip_prefix('/').ok_or(Reason::NoSlash)?;
        if template.contains(['?', '#']) {
            return Err(Reason::Query);
        }
        if path.split('/').count() > MAX_SEGMENTS {
            return Err(Reason::TooManySegments);
        }
        let segments = path.split('/').map(Segment::parse).collect::<Result<Vec<_>, _>>()?;
        let node = segments.into_iter().fold(0, |node, segment| self.next(node, segment));
        match &self.nodes[node].template {
            Some(there) if **there == *template => Ok(()),
            Some(there) => Err(Reason::SameAs(there.to_string())),
            None => {
                self.nodes[node].template = Some(template.into());
                self.count += 1;
                Ok(())
            }
        }
    }

    /// The node to which `segment` leads from `node`, made if it is not there.
    fn next(&mut self, node: usize, segment: Segment) -> usize {
        let new = self.nodes.len();
        let Node { concrete, partial, parameter, .. } = &mut self.nodes[node];
        let next = match segment {
            Segment::Parameter => *parameter.get_or_insert(new),
            Segment::Concrete(text) => match concrete.binary_search_by(|(there, _)| there.cmp(&text)) {
                Ok(index) => concrete[index].1,
                Err(index) => {
                    concrete.insert(index, (text, new));
                    new
                }
            },
            Segment::Partial(pattern) => match partial.iter().find(|(there, _)| *there == pattern) {
                Some((_, next)) => *next,
                None => {
                    let index = partial.partition_point(|(there, _)| there.rank() <= pattern.rank());
                    partial.insert(index, (pattern, new));
                    new
                }
            },
        };
        if next == new {
            self.nodes.push(Node::default());
        }
        next
    }
}

enum Segment {
    Concrete(Box<str>),
    Partial(Pattern),
    Parameter,
}

impl Segment {
    fn parse(segment: &str) -> Result<Segment, Reason> {
        let mut texts: Vec<Box<str>> = Vec::new();
        let mut rest = segment;
        while let Some((text, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or(Reason::Braces)?;
            if name.is_empty() || name.contains('{') || text.contains('}') {
                return Err(Reason::Braces);
            }
            if text.is_empty() && !texts.is_empty() {
                return Err(Reason::Adjacent);
            }
            texts.push(Box::from(text));
            rest = after;
        }
        if rest.contains('}') {
            return Err(Reason::Braces);
        }
        texts.push(Box::from(rest));
        Ok(match texts.as_slice() {
            [_] => Segment::Concrete(rest.into()),
            [before, after] if before.is_empty() && after.is_empty() => Segment::Parameter,
            _ => Segment::Partial(Pattern { texts }),
        })
    }
}

impl Pattern {
    /// Lower is more concrete: more text, then fewer parameters, then any fixed order.
    fn rank(&self) -> (std::cmp::Reverse<usize>, usize, &[Box<str>]) {
        let text = self.texts.iter().map(|text| text.len()).sum();
        (std::cmp::Reverse(text), self.texts.len(), &self.texts)
    }

    /// Whether each parameter can take one character or more of `segment`. Taking as few as possible each time
    /// finds a way whenever there is one.
    fn fits(&self, segment: &str) -> bool {
        let [first, between @ .., last] = self.texts.as_slice() else { return false };
        let Some(mut rest) = segment.strip_prefix(&**first) else { return false };
        for text in between {
            let Some(parameter) = rest.chars().next() else { return false };
            let Some(found) = rest[parameter.len_utf8()..].find(&**text) else { return false };
            rest = &rest[parameter.len_utf8() + found + text.len()..];
        }
        rest.strip_suffix(&**last).is_some_and(|parameter| !parameter.is_empty())
    }
}

/// A template cannot be used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TemplateError {
    template: String,
    reason: Reason,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Reason {
    NoSlash,
    Query,
    TooManySegments,
    Braces,
    Adjacent,
    SameAs(String),
}

impl TemplateError {
    /// The template as it was given.
    pub fn template(&self) -> &str {
        &self.template
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the path template {:?} ", self.template)?;
        match &self.reason {
            Reason::NoSlash => f.write_str("does not begin with a slash; put one in front"),
            Reason::Query => f.write_str("has a `?` or `#`; keep the path only"),
            Reason::TooManySegments => write!(f, "has more than {MAX_SEGMENTS} segments; shorten it"),
            Reason::Braces => f.write_str("has braces that do not enclose a name, such as {id}; mend them"),
            Reason::Adjacent => {
                f.write_str("has two parameters side by side; put a text between them or make them one")
            }
            Reason::SameAs(other) => write!(f, "fits the same paths as {other:?}; keep one of them"),
        }
    }
}

impl Error for TemplateError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn templates() -> Templates {
        Templates::new([
            "/",
            "/users",
            "/users/{id}",
            "/users/me",
            "/users/me/settings",
            "/users/{id}.json",
            "/users/{id}/items/{item_id}",
            "/users/{user}/items/latest",
            "/v{version}/files/{name}.{extension}",
            "/v{version}/files/report-{name}.{extension}",
            "/v1/{anything}",
            "/trees/",
            "/trees/{a}-{b}-{c}",
            "/users",
        ])
        .unwrap()
    }

    #[test]
    fn a_path_belongs_to_its_most_concrete_template() {
        let templates = templates();
        assert_eq!(templates.len(), 13);
        let check = |path: &str, expected: Option<&str>| assert_eq!(templates.find(path), expected, "{path}");
        check("/", Some("/"));
        check("/?x=/users", Some("/"));
        check("/users", Some("/users"));
        check("/users/", Some("/users"));
        check("/users//", None);
        check("/Users", None);
        check("/users/7", Some("/users/{id}"));
        check("/users/7?x=y", Some("/users/{id}"));
        check("/users/7#x", Some("/users/{id}"));
        check("/users/me", Some("/users/me"));
        check("/users/me/settings", Some("/users/me/settings"));
        check("/users/you/settings", None);
        check("/users/7.json", Some("/users/{id}.json"));
        check("/users/.json", Some("/users/{id}"));
        check("/users/me/items/3", Some("/users/{id}/items/{item_id}"));
        check("/users/me/items/latest", Some("/users/{user}/items/latest"));
        check("/users/me/items/", None);
        check("/users//items/3", None);
        check("/v2/files/a.txt", Some("/v{version}/files/{name}.{extension}"));
        check("/v2/files/report-a.txt", Some("/v{version}/files/report-{name}.{extension}"));
        check("/v2/files/report-.txt", Some("/v{version}/files/{name}.{extension}"));
        check("/v2/files/.txt", None);
        check("/v2/files/a.", None);
        check("/v2/files/ä.tar.gz", Some("/v{version}/files/{name}.{extension}"));
        check("/v/files/a.txt", None);
        check("/v1/files", Some("/v1/{anything}"));
        check("/v1/files/a.txt", Some("/v{version}/files/{name}.{extension}"));
        check("/trees", None);
        check("/trees/", Some("/trees/"));
        check("/trees/a-b-c", Some("/trees/{a}-{b}-{c}"));
        check("/trees/a---c", Some("/trees/{a}-{b}-{c}"));
        check("/trees/a--c", None);
        check("", None);
        check("users", None);
        check("*", None);
    }

    #[test]
    fn a_template_that_cannot_be_used_is_named_with_the_reason() {
        let check = |templates: &[&str], expected: &str| {
            let error = Templates::new(templates.iter().copied()).unwrap_err();
            assert_eq!(error.template(), *templates.last().unwrap());
            assert!(error.to_string().contains(expected), "{error}");
        };
        check(&["users"], "begin with a slash");
        check(&[""], "begin with a slash");
        check(&["/users?x={y}"], "keep the path only");
        check(&["/{id"], "braces");
        check(&["/id}"], "braces");
        check(&["/}{id}"], "braces");
        check(&["/{}"], "braces");
        check(&["/{{id}}"], "braces");
        check(&["/{a}{b}"], "side by side");
        check(&["/users/{id}", "/users/{name}"], "\"/users/{id}\"");
        check(&["/a/{x}.json", "/a/{y}.json"], "\"/a/{x}.json\"");
        check(&[&"/a".repeat(65)], "64 segments");
    }

    #[test]
    fn the_order_of_the_templates_does_not_matter() {
        let forward = templates();
        let mut all: Vec<String> =
            forward.nodes.iter().filter_map(|node| node.template.as_deref().map(str::to_owned)).collect();
        all.reverse();
        let backward = Templates::new(all.iter().map(String::as_str)).unwrap();
        for path in ["/users/me", "/users/7.json", "/v2/files/report-a.txt", "/v1/files", "/trees/a-b-c"] {
            assert_eq!(forward.find(path), backward.find(path), "{path}");
        }
    }

    /// The obvious way for one segment: try every split.
    fn fits_slowly(texts: &[Box<str>], segment: &str) -> bool {
        let (first, others) = texts.split_first().unwrap();
        let Some(rest) = segment.strip_prefix(&**first) else { return false };
        if others.is_empty() {
            return rest.is_empty();
        }
        rest.char_indices()
            .skip(1)
            .map(|(at, _)| at)
            .chain((!rest.is_empty()).then_some(rest.len()))
            .any(|at| fits_slowly(others, &rest[at..]))
    }

    proptest! {
        #[test]
        fn partial_segments_fit_as_if_every_split_were_tried(
            template in "[ab]{0,2}\\{x\\}[ab]{1,2}(\\{y\\}[ab]{1,2}){0,2}(\\{z\\})?",
            segment in "[abä]{0,10}",
        ) {
            let Segment::Partial(pattern) = Segment::parse(&template).unwrap() else { panic!("not partial") };
            prop_assert_eq!(pattern.fits(&segment), fits_slowly(&pattern.texts, &segment));
        }

        #[test]
        fn a_template_finds_itself(names in prop::collection::vec("[a-z]{1,3}|\\{[a-z]{1,3}\\}(\\.[a-z]{1,2})?", 1..6)) {
            let template = format!("/{}", names.join("/"));
            let templates = Templates::new([template.as_str()]).unwrap();
            let path = template.replace(['{', '}'], "");
            prop_assert_eq!(templates.find(&path), Some(template.as_str()));
        }

        #[test]
        fn any_text_is_compiled_or_refused_and_looked_up_without_panic(texts in prop::collection::vec("[/{}a-c?ä.]{0,12}", 0..4), path in "\\PC{0,20}") {
            if let Ok(templates) = Templates::new(texts.iter().map(String::as_str)) {
                prop_assert!(templates.len() <= texts.len());
                if let Some(found) = templates.find(&path) {
                    prop_assert!(texts.iter().any(|text| text == found));
                }
            }
        }
    }
}
