//! `closed_set!`: an enum whose variants each have one fixed name, used in tables, logs, metrics and `--json`.

/// Defines an enum with `ALL`, `as_str`, `Display`, `FromStr` and serde as that string.
#[macro_export]
macro_rules! closed_set {
    (
        $(#[$meta:meta])*
        $visibility:vis enum $name:ident { $( $(#[$variant_meta:meta])* $variant:ident => $text:literal, )+ }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        $visibility enum $name { $( $(#[$variant_meta])* $variant, )+ }

        impl $crate::ClosedSet for $name {
            fn as_str(self) -> &'static str {
                Self::as_str(self)
            }
        }

        impl $name {
            /// Every member, in the order of definition.
            pub const ALL: &'static [Self] = &[ $( Self::$variant, )+ ];

            /// The name of this member, as users see it.
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $text, )+ }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::states::UnknownName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $( $text => Ok(Self::$variant), )+
                    _ => Err($crate::states::UnknownName {
                        set: stringify!($name),
                        given: text.chars().take(64).collect(),
                        known: &[ $( $text, )+ ],
                    }),
                }
            }
        }

        impl $crate::serde::Serialize for $name {
            fn serialize<S: $crate::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> $crate::serde::Deserialize<'de> for $name {
            fn deserialize<D: $crate::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = <::std::borrow::Cow<'de, str> as $crate::serde::Deserialize<'de>>::deserialize(deserializer)?;
                name.parse().map_err($crate::serde::de::Error::custom)
            }
        }
    };
}
