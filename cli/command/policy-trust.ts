/**
 * `navarch policy trust RULE@VERSION`: re-enables a rule that the circuit breaker suspended. This
 * version of the rule is not suspended again.
 */
import type { Command } from "../command.ts";
import { usage } from "../failure.ts";
import { WHY } from "../veto.ts";

export const policyTrust: Command = {
  name: ["policy", "trust"],
  usage: "RULE@VERSION",
  summary: "re-enable a rule that the circuit breaker suspended",
  examples: ["navarch policy trust fatal-xid@3"],
  flags: [WHY],
  words: { min: 1, max: 1 },
  reach: "online",
  async run(context, client) {
    const [rule = ""] = context.words;
    const reason = (context.flags.text("reason") ?? "").trim();
    if (reason === "") return usage("policy trust needs --reason WHY");
    const path = `/safety/trusted/${encodeURIComponent(rule)}`;
    const answer = await client.send<{ rule: string }>("PUT", path, ["rule"], { reason });
    if (!answer.ok) return answer;
    return {
      data: answer.value,
      names: [rule],
      human: () => `Rule ${rule} is enabled again\n`,
    };
  },
};
