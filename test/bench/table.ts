/** Figures as a table for people: what, measured, budget, goal, verdict. Pure. */
import { type Figure, isOver } from "./bench.ts";

const HEADER = ["figure", "measured", "budget", "goal", ""];

function formatValue(value: number | null, unit: Figure["unit"]): string {
  if (value === null) return "–";
  const digits = unit === "count" || value >= 1_000 ? 0 : value >= 100 ? 1 : 2;
  return `${value.toFixed(digits)}${unit === "count" ? "" : ` ${unit}`}`;
}

function verdictOf(figure: Figure, tiny: boolean): string {
  if (figure.budget === null) return "";
  if (tiny) return "not judged";
  if (isOver(figure)) return "OVER";
  return figure.goal === null || figure.measured <= figure.goal ? "ok" : "ok, goal missed";
}

export function formatTable(figures: readonly Figure[], tiny: boolean): string {
  const rows = figures.map((figure) => {
    const { name, measured, unit, budget, goal } = figure;
    const numbers = [measured, budget, goal].map((value) => formatValue(value, unit));
    return [name, ...numbers, verdictOf(figure, tiny)];
  });
  const all = [HEADER, ...rows];
  const widths = HEADER.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string => {
    const cells = row.map((cell, column) => {
      const width = widths[column] ?? 0;
      // Numbers are compared by their right edge, words by their left.
      return column >= 1 && column <= 3 ? cell.padStart(width) : cell.padEnd(width);
    });
    return cells.join("  ").trimEnd();
  };
  return all.map(line).join("\n");
}
