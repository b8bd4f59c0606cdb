/**
 * `navarch watch nodes`: prints the table of `list` and refreshes it.
 */
import type { Command } from "../command.ts";
import { WATCH_FLAG } from "../watch.ts";
import { list } from "./list.ts";

export const watchNodes: Command = {
  ...list,
  name: ["watch", "nodes"],
  alias: [],
  summary: "list nodes and refresh the list",
  examples: ["navarch watch nodes --pool training"],
  flags: list.flags.filter((flag) => flag !== WATCH_FLAG),
  watches: true,
};
