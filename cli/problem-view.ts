/** Prints the problems of a file: text on standard error, or records for programs. */
import { formatProblem } from "../reconciler/config/problem.ts";
import type { Problem } from "../schema/config.ts";
import type { Context } from "./command.ts";
import { EXIT } from "./failure.ts";
import { isForMachines, show } from "./show.ts";
import { plain } from "./table.ts";

/** Prints the problems, or `summary` without errors; `--strict` counts warnings as errors. */
export async function showProblems(
  context: Context,
  problems: readonly Problem[],
  summary: () => string,
): Promise<number> {
  const strict = context.flags.on("strict");
  const bad = problems.some(
    ({ severity }) => severity === "error" || (strict && severity === "warning"),
  );
  if (isForMachines(context.format) || context.format === "yaml") {
    await show(context, { data: problems, names: [], human: () => "" });
    return bad ? EXIT.usage : EXIT.done;
  }
  sayProblems(context, problems);
  if (!bad && context.format !== "name") context.world.out(`${plain(summary())}\n`);
  return bad ? EXIT.usage : EXIT.done;
}

/** One line each on standard error. */
export function sayProblems({ world }: Context, problems: readonly Problem[]): void {
  for (const problem of problems) world.err(`${plain(formatProblem(problem))}\n`);
}

/** `1 pool`, `2 pools`. */
export function countOf(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
