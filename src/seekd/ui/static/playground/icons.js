// Signs of the buttons, drawn in the colour of the text.
import { html } from "../vendor/preact.js";

const draw = (path) => html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d=${path} /></svg>`;

export const ATTACH = draw("M20 11.5 12 19.5a5 5 0 0 1-7-7L13.5 4a3.3 3.3 0 0 1 4.7 4.7L9.7 17.2a1.6 1.6 0 0 1-2.3-2.3L15 7.3");
export const CLOSE = draw("M6 6 18 18M18 6 6 18");
export const MENU = draw("M4 7h16M4 12h16M4 17h16");
export const NEXT = draw("m9 5 7 7-7 7");
export const PREVIOUS = draw("m15 5-7 7 7 7");
export const SETTINGS = draw("M4 8h10M18 8h2M4 16h2M10 16h10M16 6v4M8 14v4");
export const THEME = draw("M20 14.5A8 8 0 0 1 9.5 4 8 8 0 1 0 20 14.5Z");
