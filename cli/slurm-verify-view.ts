/** Prints the sections of `navarch slurm verify`: for people, and as JUnit's XML for CI. */
import type { Context } from "./command.ts";
import { EXIT } from "./failure.ts";
import { show } from "./show.ts";
import type { Section } from "./slurm-verify.ts";

/** The exit status: 1 when a section did not pass. */
export async function showSections(
  context: Context,
  sections: readonly Section[],
): Promise<number> {
  const isGood = sections.every(({ status }) => status === "passed");
  const isXml = context.flags.text("output")?.toLowerCase() === "junit";
  await show(context, {
    data: { passed: isGood, sections },
    names: sections.map(({ name, status }) => `${name}: ${status}`),
    human: () => (isXml ? formatJunit(sections) : formatSections(sections)),
  });
  return isGood ? EXIT.done : EXIT.failed;
}

const WORD = { passed: "PASS", failed: "FAIL", skipped: "SKIP" } as const;

function formatSections(sections: readonly Section[]): string {
  const lines = sections.flatMap(({ id, name, status, lines }) => [
    `${WORD[status]}  ${id}. ${name}`,
    ...lines.map((line) => `        ${line}`),
  ]);
  const bad = sections.filter(({ status }) => status === "failed").length;
  const end = bad === 0 ? "All sections passed." : `${bad} of ${sections.length} sections failed.`;
  return `${[...lines, end].join("\n")}\n`;
}

function formatJunit(sections: readonly Section[]): string {
  const count = (status: Section["status"]): number =>
    sections.filter((one) => one.status === status).length;
  const [failures, skipped] = [count("failed"), count("skipped")];
  const counts = `tests="${sections.length}" failures="${failures}" skipped="${skipped}"`;
  const cases = sections.map(({ id, name, status, lines }) => {
    const text = escapeXml(lines.join("\n"));
    const head = `    <testcase classname="slurm.verify" name="${id} ${escapeXml(name)}">`;
    const body =
      status === "failed"
        ? `<failure message="${escapeXml(lines[0] ?? "")}">${text}</failure>`
        : status === "skipped"
          ? "<skipped/>"
          : `<system-out>${text}</system-out>`;
    return `${head}${body}</testcase>\n`;
  });
  return `<?xml version="1.0" encoding="UTF-8"?>
<testsuites ${counts}>
  <testsuite name="navarch slurm verify" ${counts}>
${cases.join("")}  </testsuite>
</testsuites>
`;
}

const NAMES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
};

/** Without the control characters that XML 1.0 cannot carry. */
const escapeXml = (text: string): string =>
  text
    .replace(/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD]/g, "?")
    .replace(/[&<>"]/g, (one) => NAMES[one] ?? one);
