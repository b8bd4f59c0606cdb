/**
 * `navarch join-token create`: lets machines in that have no credential yet. The secret is shown
 * once, alone on standard output, so that it goes into a variable or a file.
 */
import type { JoinTokenView } from "../../schema/join.ts";
import { formatTime } from "../age.ts";
import type { Command } from "../command.ts";
import { usage } from "../failure.ts";
import { readSpan, textFlag, textsFlag } from "../flag.ts";
import { plain } from "../table.ts";

export const joinTokenCreate: Command = {
  name: ["join-token", "create"],
  usage: "--pool P",
  summary: "create a token that lets machines join a pool",
  examples: ["navarch join-token create --pool training --uses 4 --ttl 2h"],
  flags: [
    textFlag("pool", "P", "pool that machines may join with it"),
    textFlag("uses", "N", "number of machines that may join (default 1)"),
    textFlag("ttl", "T", "lifetime (default 1h, maximum 720h)"),
    textFlag("node", "ID", "valid only for this node, which may exist or be revoked"),
    textsFlag("label", "TEXT", "purpose"),
  ],
  words: { min: 0, max: 0 },
  reach: "online",
  async run(context, client) {
    const { flags, world } = context;
    const pool = flags.text("pool");
    if (pool === null) return usage("join-token create needs --pool");
    const uses = flags.text("uses") ?? "1";
    if (!/^[1-9]\d{0,4}$/.test(uses))
      return usage(`--uses: expected a whole number from 1, found "${uses}"`);
    const ttl = flags.text("ttl");
    const span = ttl === null ? null : readSpan("ttl", ttl);
    if (span?.ok === false) return span;
    const node = flags.text("node");
    const answer = await client.send<JoinTokenView>("POST", "/join-tokens", ["token"], {
      pool,
      uses: Number(uses),
      label: flags.texts("label").join(" "),
      ...(ttl === null ? {} : { ttl }),
      ...(node === null ? {} : { node }),
    });
    if (!answer.ok) return answer;
    const { value } = answer;
    if (context.format === "table" || context.format === "wide") {
      const many = value.uses_max === 1 ? "once" : `${value.uses_max} times`;
      const until = formatTime(value.expires_at);
      world.err(
        `${plain(`Join token ${value.id} for pool ${value.pool}, ${many}, until ${until}`)}; `,
      );
      world.err("it is not shown again:\n");
    }
    const secret = `${plain(value.token)}\n`;
    return { data: value, names: [value.id], human: () => secret };
  },
};
