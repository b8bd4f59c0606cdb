/**
 * The client that speaks slurmrestd, from Slurm 22.05 (v0.0.38) on. The newest offered version that
 * is known here is used, and asked for again when it is gone, as after an upgrade. A version that
 * only reads nodes leaves the writes to the commands beside it.
 */
import type { SlurmAnswer, SlurmClient, SlurmNodeChange } from "../core/slurm/client.ts";
import type { SlurmJob, SlurmNode } from "../core/slurm/object.ts";
import { readJobs, readNodes, readReservations } from "./json.ts";
import type { RestAnswer, RestCall, RestRequest } from "./rest-call.ts";
import { judge, releaseOf } from "./rest-answer.ts";

/** Data-parser versions whose nodes and jobs are read here, newest first. */
export const REST_VERSIONS: readonly string[] = [
  ...["v0.0.44", "v0.0.43", "v0.0.42", "v0.0.41", "v0.0.40", "v0.0.39", "v0.0.38"],
];
/**
 * slurmrestd makes 8 KB of each job: 10,000 take it longer than a call may last, where squeue needs
 * a tenth of a second.
 */
const LONG_QUEUE = 2_000;
/** More single reads than this cost more than one list; as many as the marker has turns. */
const SINGLE_READS_MAX = 32;
/** Brackets and commas would name other nodes too. */
const NAME = /^[\w.-]+$/;

export type RestOptions = {
  call: RestCall;
  /** Runs Slurm's commands; `null` = there are none on this computer. */
  beside: SlurmClient | null;
};

type Offer = { version: string; writes: boolean; removes: boolean };
type Work = (offer: Offer) => RestRequest;

export function openRestClient(options: RestOptions): SlurmClient {
  return new RestClient(options);
}

class RestClient implements SlurmClient {
  readonly #options: RestOptions;
  #offer: Promise<SlurmAnswer<Offer>> | null = null;
  #version: string | null = null;
  #release: string | null = null;
  /** The last list of jobs, if it failed or was long: the commands are asked next. */
  #slow: SlurmAnswer<readonly SlurmJob[]> | null = null;

  constructor(options: RestOptions) {
    this.#options = options;
  }

  describe(): string {
    const version = this.#version === null ? "" : ` ${this.#version}`;
    return `slurmrestd${version}${this.#release === null ? "" : `, Slurm ${this.#release}`}`;
  }

  async nodes(names?: readonly string[]): Promise<SlurmAnswer<readonly SlurmNode[]>> {
    if (names !== undefined && names.length <= SINGLE_READS_MAX) return this.#each(names);
    const answer = await this.#ask(({ version }) => get(`/slurm/${version}/nodes`));
    const read = take(answer, "nodes", readNodes);
    if (read.kind !== "ok" || names === undefined) return read;
    return { kind: "ok", value: read.value.filter(({ name }) => names.includes(name)) };
  }

  async jobs(): ReturnType<SlurmClient["jobs"]> {
    const { beside } = this.#options;
    if (beside !== null && this.#slow !== null) {
      const slow = this.#slow;
      const told = await beside.jobs();
      if (told.kind !== "ok" || told.value.length < LONG_QUEUE) this.#slow = null;
      if (told.kind === "ok") return told;
      // There may be no commands here: slurmrestd's own failure names the trouble.
      if (slow.kind === "failed") return slow;
    }
    const answer = await this.#ask(({ version }) => get(`/slurm/${version}/jobs`));
    const read = take(answer, "jobs", (value) => readJobs(value));
    const isLong = read.kind === "ok" && read.value.length >= LONG_QUEUE;
    this.#slow = isLong || read.kind === "failed" ? read : null;
    return read;
  }

  async reservations(): ReturnType<SlurmClient["reservations"]> {
    const answer = await this.#ask(({ version }) => get(`/slurm/${version}/reservations`));
    return take(answer, "reservations", readReservations);
  }

  async update(names: readonly string[], change: SlurmNodeChange): Promise<SlurmAnswer<null>> {
    const { state, reason } = change;
    // 24.11 accepts a drain without one over REST, and then keeps no owner.
    if ((state === "drain" || state === "down") && (reason ?? "") === "") {
      return { kind: "refused", message: `state=${state} needs a reason` };
    }
    return this.#write(names, "writes", {
      beside: (commands) => commands.update(names, change),
      request: (name) => ({ method: "POST", path: `node/${name}`, body: bodyOf(change) }),
    });
  }

  async remove(names: readonly string[]): Promise<SlurmAnswer<null>> {
    return this.#write(names, "removes", {
      beside: (commands) => commands.remove(names),
      request: (name) => ({ method: "DELETE", path: `node/${name}` }),
    });
  }

  async requeue(job: string, hold: boolean): Promise<SlurmAnswer<null>> {
    const { beside } = this.#options;
    if (beside !== null) return beside.requeue(job, hold);
    return { kind: "refused", message: "slurmrestd requeues no jobs, and scontrol is not here" };
  }

  async signal(jobs: readonly string[], signal: string): Promise<SlurmAnswer<null>> {
    const { beside } = this.#options;
    if (beside !== null) return beside.signal(jobs, signal);
    return { kind: "refused", message: "slurmrestd signals no scripts, and scancel is not here" };
  }

  async #write(
    names: readonly string[],
    right: "writes" | "removes",
    way: {
      beside: (commands: SlurmClient) => Promise<SlurmAnswer<null>>;
      request: (name: string) => RestRequest;
    },
  ): Promise<SlurmAnswer<null>> {
    const odd = names.find((name) => !NAME.test(name));
    if (odd !== undefined) return { kind: "refused", message: `not a NodeName: ${odd}` };
    const offer = await this.#offered();
    if (offer.kind !== "ok") return { kind: "refused", message: offer.message };
    if (!offer.value[right]) {
      const { beside } = this.#options;
      if (beside !== null) return way.beside(beside);
      const { version } = offer.value;
      return { kind: "refused", message: `${version} changes no nodes, and scontrol is not here` };
    }
    const answers = names.map(async (name): Promise<SlurmAnswer<null>> => {
      const answer = await this.#ask(({ version }) => {
        const request = way.request(name);
        return { ...request, path: `/slurm/${version}/${request.path}` };
      });
      return answer.kind === "ok" ? { kind: "ok", value: null } : answer;
    });
    return joined(await Promise.all(answers));
  }

  /** A node that Slurm does not know is left out. */
  async #each(names: readonly string[]): Promise<SlurmAnswer<readonly SlurmNode[]>> {
    const found: SlurmNode[] = [];
    const reads = names.map((name) => {
      return this.#ask(({ version }) => get(`/slurm/${version}/node/${encodeURIComponent(name)}`));
    });
    for (const answer of await Promise.all(reads)) {
      if (answer.kind === "refused" && /invalid node name|failure to query/i.test(answer.message)) {
        continue;
      }
      const read = take(answer, "nodes", readNodes);
      if (read.kind !== "ok") return read;
      found.push(...read.value.filter(({ name }) => names.includes(name)));
    }
    return { kind: "ok", value: found };
  }

  async #ask(work: Work): Promise<SlurmAnswer<unknown>> {
    const offer = await this.#offered();
    if (offer.kind !== "ok") return offer;
    const request = work(offer.value);
    const answer = await this.#options.call(request);
    // Another slurmrestd may answer here next time, of another version.
    if (answer.kind === "failed") this.#offer = null;
    if (answer.kind === "failed" && answer.status === 404) {
      return { kind: "refused", message: `slurmrestd no longer offers ${offer.value.version}` };
    }
    if (answer.kind === "json") this.#release = releaseOf(answer.value) ?? this.#release;
    return named(answer);
  }

  /** Asked for once, and again after each call that failed. */
  #offered(): Promise<SlurmAnswer<Offer>> {
    if (this.#offer !== null) return this.#offer;
    const asked = this.#options.call(get("/openapi/v3")).then((answer) => {
      const offer = offerOf(answer);
      if (offer.kind === "ok") this.#version = offer.value.version;
      else if (this.#offer === asked) this.#offer = null;
      return offer;
    });
    this.#offer = asked;
    return asked;
  }
}

/** The newest version of both sides, and what it may do. */
function offerOf(answer: RestAnswer): SlurmAnswer<Offer> {
  const judged = named(answer);
  if (judged.kind !== "ok") return judged;
  const { value } = judged;
  const isObject = typeof value === "object" && value !== null;
  const paths: unknown = isObject && "paths" in value ? value.paths : null;
  if (typeof paths !== "object" || paths === null) {
    return { kind: "failed", message: "slurmrestd: /openapi/v3 names no paths" };
  }
  const methods = new Map<string, unknown>();
  for (const [path, one] of Object.entries(paths)) methods.set(path.replace(/\/$/, ""), one);
  const version = REST_VERSIONS.find((one) => methods.has(`/slurm/${one}/nodes`));
  if (version === undefined) {
    const range = `${REST_VERSIONS.at(-1)} to ${REST_VERSIONS[0]}`;
    return { kind: "failed", message: `slurmrestd offers no version from ${range} for slurmctld` };
  }
  const node = methods.get(`/slurm/${version}/node/{node_name}`);
  const has = (method: string) => typeof node === "object" && node !== null && method in node;
  return { kind: "ok", value: { version, writes: has("post"), removes: has("delete") } };
}

/** 22.05 says only "Unspecified error" when slurmctld, its release or munge is the trouble. */
function named(answer: RestAnswer): SlurmAnswer<unknown> {
  const judged = judge(answer);
  if (judged.kind === "ok") return judged;
  const isVague = answer.kind === "json" && judged.kind === "failed";
  const said = isVague ? `HTTP ${answer.status}: ${judged.message}` : judged.message;
  const isDumb = isVague && judged.message.includes("Unspecified error");
  const text = isDumb ? `slurmrestd cannot ask slurmctld (${said})` : said;
  const head = isVague && !isDumb ? "slurmrestd answered " : "";
  const note = answer.note === undefined ? "" : `; ${answer.note}`;
  return { kind: judged.kind, message: `${head}${text}${note}` };
}

const get = (path: string): RestRequest => ({ method: "GET", path });

function bodyOf({ state, reason, address, hostname }: SlurmNodeChange): unknown {
  return {
    ...(state === undefined ? {} : { state: [state.toUpperCase()] }),
    ...(reason === undefined ? {} : { reason }),
    ...(address === undefined ? {} : { address }),
    ...(hostname === undefined ? {} : { hostname }),
  };
}

function take<T>(
  answer: SlurmAnswer<unknown>,
  what: string,
  read: (value: unknown) => T | null,
): SlurmAnswer<T> {
  if (answer.kind !== "ok") return answer;
  const value = read(answer.value);
  if (value !== null) return { kind: "ok", value };
  return { kind: "failed", message: `slurmrestd: the ${what} cannot be read` };
}

/** Of several nodes some may have changed: then nothing is certain. */
function joined(answers: readonly SlurmAnswer<null>[]): SlurmAnswer<null> {
  const bad = answers.find(({ kind }) => kind !== "ok");
  if (bad === undefined || bad.kind === "ok") return { kind: "ok", value: null };
  const isCertain = answers.every(({ kind }) => kind === "refused");
  return isCertain ? bad : { kind: "failed", message: bad.message };
}
