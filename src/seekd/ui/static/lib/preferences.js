// What this browser remembers of how the pages look. No secrets: those live in the tab only.

const read = (name) => localStorage.getItem(`seekd-${name}`);

/** Remember one choice. */
export const remember = (name, value) => localStorage.setItem(`seekd-${name}`, value);

/** The language that was chosen, else the browser's. */
export const firstLanguage = () => read("language") ?? (navigator.language.startsWith("zh") ? "zh" : "en");

/** "dark", "light" or, as long as nothing was chosen, "auto". */
export const firstTheme = () => read("theme") ?? "auto";

/** The theme that is shown now. */
export const shownTheme = (theme) =>
  theme !== "auto" ? theme : matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
