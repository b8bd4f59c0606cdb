/**
 * `navarch token create`: a new secret, shown once. Alone on standard output, so that it goes
 * into a variable or a file and not into a scroll-back.
 */
import type { TokenView } from "../../schema/credential.ts";
import type { Command } from "../command.ts";
import { unknownName, usage } from "../failure.ts";
import { readSpan, textFlag, textsFlag } from "../flag.ts";
import { plain } from "../table.ts";
import { formatTime } from "../age.ts";

/** A node's own credential is made for that node, never by hand. */
const ROLES = ["admin", "operator", "viewer"] as const;

export const tokenCreate: Command = {
  name: ["token", "create"],
  usage: "--role R",
  summary: "create a token; its secret is printed once",
  examples: ["navarch token create --role operator --label alice"],
  flags: [
    { name: "role", kind: "text", value: "R", values: ROLES, help: ROLES.join(", ") },
    textsFlag("label", "TEXT", "owner or purpose"),
    textFlag("expires-in", "T", "lifetime, for example 720h (default: unlimited)"),
  ],
  words: { min: 0, max: 0 },
  reach: "online",
  async run(context, client) {
    const { flags, world } = context;
    const role = flags.text("role");
    if (role === null) return usage(`token create needs --role (${ROLES.join(", ")})`);
    if (!ROLES.some((one) => one === role)) return unknownName("role", role, ROLES);
    const expires = flags.text("expires-in");
    const span = expires === null ? null : readSpan("expires-in", expires);
    if (span?.ok === false) return span;
    const answer = await client.send<TokenView>("POST", "/tokens", ["token"], {
      role,
      label: flags.texts("label").join(" "),
      ...(expires === null ? {} : { expires_in: expires }),
    });
    if (!answer.ok) return answer;
    const { value } = answer;
    if (context.format === "table" || context.format === "wide") {
      const until = value.expires_at === null ? "" : `, until ${formatTime(value.expires_at)}`;
      world.err(
        `${plain(`Token ${value.id} for role ${value.role}${until}`)}; it is not shown again:\n`,
      );
    }
    const secret = `${plain(value.token)}\n`;
    return { data: value, names: [value.id], human: () => secret };
  },
};
