/**
 * `navarch console`: the address of the console, and with `--login` a link that logs a browser in
 * once. The link is printed alone on standard output, so that it can be opened by a program.
 */
import type { LoginLinkView } from "../../schema/credential.ts";
import { formatTime } from "../age.ts";
import type { Command } from "../command.ts";
import { switchFlag } from "../flag.ts";
import { plain } from "../table.ts";

export const consoleCommand: Command = {
  name: ["console"],
  usage: "",
  summary: "print the address of the console in the browser",
  examples: ["navarch console", "navarch console --login"],
  more:
    "With --login the address is a link that logs a browser in as you. It works once, for ten " +
    "minutes, and only until another control plane leads.",
  flags: [switchFlag("login", "print a one-time link that logs in")],
  words: { min: 0, max: 0 },
  reach: "online",
  async run({ flags, format, world }, client) {
    if (!flags.on("login")) {
      const url = `${client.address.url}/`;
      return { data: { url }, names: [url], human: () => `${plain(url)}\n` };
    }
    const answer = await client.send<LoginLinkView>("POST", "/console/links", ["path"], {});
    if (!answer.ok) return answer;
    const { path, expires_at: until } = answer.value;
    const url = `${client.address.url}${path}`;
    if (format === "table" || format === "wide") {
      world.err(`Works once, until ${plain(formatTime(until))}:\n`);
    }
    return { data: { url, expires_at: until }, names: [url], human: () => `${plain(url)}\n` };
  },
};
