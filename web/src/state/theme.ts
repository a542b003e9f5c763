// Light or dark: as the system has it, unless somebody said otherwise here.
import { signal } from "@preact/signals";

type Theme = "light" | "dark" | "";
const KEY = "bourse.theme";

export const theme = signal<Theme>("");

function remembered(): Theme {
  try {
    const said = localStorage.getItem(KEY);
    return said === "light" || said === "dark" ? said : "";
  } catch {
    return ""; // a browser that keeps nothing for us
  }
}

export function wear(next: Theme): void {
  theme.value = next;
  if (next) document.documentElement.dataset["theme"] = next;
  else delete document.documentElement.dataset["theme"];
  try {
    localStorage.setItem(KEY, next);
  } catch {
    return; // it is worn all the same
  }
}

export function openTheme(): void {
  const said = remembered();
  if (said) wear(said);
}

export function turnTheme(): void {
  const isDark = theme.value ? theme.value === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  wear(isDark ? "light" : "dark");
}
