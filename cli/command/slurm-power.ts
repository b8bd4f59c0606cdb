/**
 * `navarch slurm resume|suspend|resume-fail`: what Slurm's power-saving programs tell the control
 * plane. One request and no repeat: the control plane reads Slurm's own list as well, which puts
 * right what was lost, while a note delivered late could resume a node that is suspended again.
 *
 * Adapter: reads the file of `SLURM_RESUME_FILE`.
 */
import { randomUUID } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import type { PowerVerb } from "../../reconciler/core/slurm/power-save.ts";
import type { Command, Context, Outcome } from "../command.ts";
import { connect } from "../connect.ts";
import { EXIT, failure } from "../failure.ts";
import { SLURM_ENV_FILE } from "../slurm-program.ts";
import { plain } from "../table.ts";

/** Slurm waits for no answer, but its programs run side by side and without a limit. */
const LIMIT_MS = 800;
const FILE_BYTES_MAX = 262_144;
const JOBS_MAX = 100;

type Answer = {
  taken: { pool: string; nodes: string[] }[];
  unknown: string[];
  refused: string[];
};

const MORE = `Slurm calls its programs without options: make a link to this program

  ln -s /usr/local/bin/navarch /usr/local/sbin/slurm-resume

and name the link in slurm.conf. slurmctld passes on no environment, so the link's program reads
NAVARCH_SERVER and NAVARCH_TOKEN_FILE from ${SLURM_ENV_FILE}; the token needs the role slurm.
It fails without an answer within 0.8 s. Nothing is lost then, because the control plane compares
its nodes with Slurm's list.`;

const summaries: Record<PowerVerb, string> = {
  resume: "start machines for nodes that Slurm resumes",
  suspend: "end the machines of nodes that Slurm suspends",
  "resume-fail": "end the machines of nodes that came up too late for Slurm",
};

function powerCommand(verb: PowerVerb): Command {
  return {
    name: ["slurm", verb],
    usage: "<hostlist>",
    summary: summaries[verb],
    examples: [`navarch slurm ${verb} 'gpu[0-3,7]'`],
    more: MORE.replaceAll("slurm-resume", `slurm-${verb}`),
    flags: [],
    words: { min: 1, max: 1 },
    reach: "offline",
    run: (context) => tell(context, verb),
  };
}

export const slurmResume = powerCommand("resume");
export const slurmSuspend = powerCommand("suspend");
export const slurmResumeFail = powerCommand("resume-fail");

async function tell(context: Context, verb: PowerVerb): Outcome {
  const { world, flags, words, timeoutGiven, timeoutMs } = context;
  // First of all: the file lives for seconds.
  const jobs = verb === "resume" ? jobsOf(world.env["SLURM_RESUME_FILE"]) : [];
  const [nodes = ""] = words;
  const client = connect(world, flags, timeoutGiven ? timeoutMs : LIMIT_MS, false);
  if ("ok" in client) return client;
  const body = { nodes, ...(jobs.length === 0 ? {} : { jobs }) };
  const path = `/slurm/${verb}`;
  const answer = await client.send<Answer>("POST", path, ["taken"], body, randomUUID());
  if (!answer.ok) return answer;
  const { taken, unknown, refused } = answer.value;
  const left = [...unknown, ...refused];
  if (left.length > 0) {
    const names = left.slice(0, 8).map(plain).join(", ");
    const message = `no pool with slurm.power_save has ${left.length} of the nodes: ${names}`;
    return failure(EXIT.failed, "not_found", message);
  }
  const lines = taken.map((one) => `Pool ${plain(one.pool)}: ${verb} ${one.nodes.join(", ")}\n`);
  return {
    data: answer.value,
    names: taken.flatMap((one) => one.nodes),
    human: () => lines.join(""),
  };
}

/** Ids of the jobs that wait for the nodes; for people only, so a file that is gone is no error. */
export function jobsOf(path: string | undefined): string[] {
  if (path === undefined || path === "") return [];
  try {
    const raw: unknown = JSON.parse(readStart(path));
    const jobs = typeof raw === "object" && raw !== null && "jobs" in raw ? raw.jobs : null;
    if (!Array.isArray(jobs)) return [];
    const ids = jobs.map((job: unknown) => {
      return typeof job === "object" && job !== null && "job_id" in job ? String(job.job_id) : "";
    });
    return ids.filter((id) => /^[\w+.-]{1,64}$/.test(id)).slice(0, JOBS_MAX);
  } catch {
    return [];
  }
}

/** It is a descriptor of slurmctld's, without a size. */
function readStart(path: string): string {
  const file = openSync(path, "r");
  try {
    const bytes = Buffer.alloc(FILE_BYTES_MAX);
    let length = 0;
    for (let more = 1; more > 0 && length < bytes.length; length += more) {
      more = readSync(file, bytes, length, bytes.length - length, length);
    }
    return bytes.toString("utf8", 0, length);
  } finally {
    closeSync(file);
  }
}
