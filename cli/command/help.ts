/**
 * `navarch help`: prints all commands, one of them, or the global flags.
 */
import type { Command } from "../command.ts";
import { EXIT } from "../failure.ts";
import { findCommand, GROUP_ALIAS } from "../find.ts";
import { formatFlagsPage, formatGroup, formatHelp, formatOverview } from "../help.ts";

/** `commands` are all others; the help lists itself too. */
export function helpOf(commands: readonly Command[]): Command {
  const help: Command = {
    name: ["help"],
    group: "Other",
    usage: "[<command> | flags]",
    summary: "show help for a command, or the global flags",
    examples: ["navarch help drain", "navarch help flags"],
    flags: [],
    words: { min: 0, max: 2 },
    reach: "offline",
    async run({ words, world }) {
      const all = [...commands, help];
      if (words.join(" ") === "flags") {
        world.out(formatFlagsPage());
        return EXIT.done;
      }
      const [first = "", ...others] = words;
      const asked = [GROUP_ALIAS.get(first) ?? first, ...others];
      const found = words.length === 0 ? null : findCommand(all, "navarch", asked);
      if (found === null) world.out(formatOverview(all));
      else if ("ok" in found) return found;
      else if (found.kind === "group") world.out(formatGroup(found.name, found.commands));
      else if (found.kind === "command") world.out(formatHelp(found.command));
      else world.out(formatOverview(all));
      return EXIT.done;
    },
  };
  return help;
}
