/** `docs/cli.md`: every command and flag, from the declarations that the parsers read. */
import { formatHelp } from "../../agent/service/option.ts";
import { COMMANDS } from "../../cli/command/catalog.ts";
import type { Command } from "../../cli/command.ts";
import type { Flag } from "../../cli/flag.ts";
import { GLOBAL_FLAGS } from "../../cli/global-flag.ts";
import { flagUsage } from "../../cli/help.ts";
import { code, formatHead, formatTable, readProse } from "./markdown.ts";

export function formatCli(): string {
  const head = formatHead("Command line", "`cli/command/catalog.ts` and the agent's flags");
  const groups = [...new Set(COMMANDS.map(({ group }) => group ?? "Other"))].map((group) => {
    const own = COMMANDS.filter((command) => (command.group ?? "Other") === group);
    return `\n## ${group}\n${own.map(formatCommand).join("")}`;
  });
  const common = `\n## Flags of every command\n\n${formatFlags(GLOBAL_FLAGS)}`;
  return `${head}${readProse("cli")}${common}${groups.join("")}${formatAgent(formatHelp())}`;
}

function formatCommand(command: Command): string {
  const usage = ["navarch", ...command.name, command.usage, "[flags]"].filter((one) => one !== "");
  const own = command.flags.filter((flag) => flag.hidden !== true);
  const examples = command.examples ?? [];
  const alias = (command.alias ?? []).map(code).join(", ");
  const also = alias === "" ? "" : ` Also: ${alias}.`;
  return [
    `\n### navarch ${command.name.join(" ")}\n`,
    `\n${sentenceOf(command.summary)}${also}\n`,
    `\n\`\`\`\n${usage.join(" ")}\n\`\`\`\n`,
    command.more === undefined ? "" : `\n${escapeProse(command.more)}\n`,
    own.length === 0 ? "" : `\n${formatFlags(own)}`,
    examples.length === 0 ? "" : `\n\`\`\`sh\n${examples.join("\n")}\n\`\`\`\n`,
  ].join("");
}

function formatFlags(flags: readonly Flag[]): string {
  const rows = flags
    .filter((flag) => flag.hidden !== true)
    .map((flag) => {
      const many = flag.kind === "texts" ? ", may be repeated" : "";
      const env = flag.env?.map(code).join(", ") ?? "";
      return [code(flagUsage(flag)), `${flag.help}${many}`, env];
    });
  return formatTable(["flag", "meaning", "environment"], rows);
}

const sentenceOf = (text: string): string =>
  escapeProse(`${text.charAt(0).toUpperCase()}${text.slice(1)}.`);

/** `<id>` in a sentence would be taken for HTML. */
const escapeProse = (text: string): string => text.replaceAll("<", "\\<");

function formatAgent(help: string): string {
  return `\n## navarch-node\n\n\`\`\`\n${help.trimEnd()}\n\`\`\`\n`;
}
