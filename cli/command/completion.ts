/**
 * `navarch completion`: prints a completion script for a shell.
 */
import type { Command } from "../command.ts";
import { formatBash } from "../completion-bash.ts";
import { formatFish } from "../completion-fish.ts";
import { formatZsh } from "../completion-zsh.ts";
import { tableOf } from "../completion.ts";
import { EXIT, unknownName } from "../failure.ts";

export const SHELLS = { bash: formatBash, zsh: formatZsh, fish: formatFish } as const;

/** `commands` includes this command, so it is a function that is called when it runs. */
export function completionOf(commands: () => readonly Command[]): Command {
  return {
    name: ["completion"],
    group: "Other",
    usage: "<bash|zsh|fish>",
    summary: "print a completion script for a shell",
    examples: ["navarch completion bash >/etc/bash_completion.d/navarch"],
    more:
      "bash: source <(navarch completion bash)\n" +
      "zsh:  source <(navarch completion zsh)\n" +
      "fish: navarch completion fish | source\n" +
      "Names of nodes and pools are asked of the control plane, for at most 2 s.",
    flags: [],
    words: { min: 1, max: 1 },
    reach: "offline",
    async run({ words, world }) {
      const [given = ""] = words;
      const shells = ["bash", "zsh", "fish"] as const;
      const shell = shells.find((one) => one === given);
      if (shell === undefined) return unknownName("shell", given, shells);
      world.out(SHELLS[shell](tableOf(commands())));
      return EXIT.done;
    },
  };
}
