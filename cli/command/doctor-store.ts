/**
 * `navarch doctor store`: lists stored rows that the control plane could not read, with the reason
 * and what to do.
 */
import type { QuarantineSource, QuarantineView } from "../../schema/quarantine.ts";
import type { Command } from "../command.ts";
import type { Diagnosis } from "../diagnosis-row.ts";
import { EXIT } from "../failure.ts";
import { show } from "../show.ts";
import { formatDiagnoses } from "./doctor.ts";

const SHOW = "the text: GET /v1/store/quarantine?text=true (admin)";

/** What to do, by kind of row; nothing depends on kinds without an entry. */
const ADVICE: Partial<Record<QuarantineSource, string>> = {
  node: "see `navarch explain`: a held node is yours to uncordon or terminate",
  pool: "check the size of the pool, then `navarch pool resume`",
  operation: "its node is held: see what became of the call, then uncordon or terminate it",
  command: "give the order again if it still holds",
  credential: "it counts as revoked: create or rotate it",
  fact: "if the fleet is frozen for it, see `navarch safety`, then unfreeze",
};

export const doctorStore: Command = {
  name: ["doctor", "store"],
  usage: "",
  summary: "list stored rows that cannot be read",
  examples: ["navarch doctor store"],
  more: "Exit 1 if there is one whose node, pool or order needs a person.",
  flags: [],
  words: { min: 0, max: 0 },
  reach: "online",
  async run(context, client) {
    const answer = await client.get<{ rows: QuarantineView[] }>("/store/quarantine", ["rows"]);
    if (!answer.ok) return answer;
    const { rows } = answer.value;
    const found = rows.map(judgeRow);
    await show(context, {
      data: rows,
      names: rows.map((one) => `${one.source} ${one.key}`),
      human: (_wide, style) =>
        found.length === 0 ? "Every stored row can be read." : formatDiagnoses(found, style),
    });
    return found.some((one) => one.outcome === "fail") ? EXIT.failed : EXIT.done;
  },
};

function judgeRow({ id, source, key, at, reason }: QuarantineView): Diagnosis {
  const advice = ADVICE[source] ?? null;
  return {
    check: `${source} ${key}`,
    outcome: advice === null ? "warn" : "fail",
    message: `set aside ${at} as row ${id}: ${reason}`,
    advice: advice === null ? SHOW : `${advice}; ${SHOW}`,
  };
}
