/**
 * `navarch forgive GPU-UUID`: removes a repaired GPU from quarantine, so that machines with it pass
 * their first check again.
 */
import type { Command } from "../command.ts";
import { usage } from "../failure.ts";
import { WHY } from "../veto.ts";

export const forgive: Command = {
  name: ["forgive"],
  usage: "GPU-UUID",
  summary: "let a repaired GPU serve again",
  examples: ["navarch forgive GPU-6f0e2c1a-0000-0000-0000-000000000000"],
  flags: [WHY],
  words: { min: 1, max: 1 },
  reach: "online",
  async run(context, client) {
    const [uuid = ""] = context.words;
    const reason = (context.flags.text("reason") ?? "").trim();
    if (reason === "") return usage("forgive needs --reason WHY");
    const path = `/safety/lemons/${encodeURIComponent(uuid)}`;
    const answer = await client.send<{ uuid: string }>("DELETE", path, ["uuid"], { reason });
    if (!answer.ok) return answer;
    return {
      data: answer.value,
      names: [uuid],
      human: () => `GPU ${uuid} may serve again\n`,
    };
  },
};
