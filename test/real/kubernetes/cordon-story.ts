/**
 * Random stories of one Node that a person and the product both cordon: steps, races between the
 * product's read and its write, stale copies, lost and late answers, wiped ownership, a Node
 * recreated. The judge keeps what the person has said, which the server does not always show, and
 * looks at the object around every write of the product. The same stories are played on the server
 * in memory and on a real one.
 */
import type { Clock } from "../../../reconciler/core/clock.ts";
import type { KubeAnswer, KubeApi, KubeRequest } from "../../../reconciler/kubernetes/api.ts";
import { PATCH } from "../../../reconciler/kubernetes/api.ts";
import { holdCordon, releaseCordon } from "../../../reconciler/kubernetes/cordon.ts";
import type { CordonAnswer } from "../../../reconciler/kubernetes/cordon.ts";
import { ANNOTATION } from "../../../reconciler/core/kubernetes/object.ts";
import type { KubeNode } from "../../../reconciler/core/kubernetes/object.ts";

/** One Node, a person who can do what people do to it, and the product's connection. */
export type Ground = {
  name: string;
  api: KubeApi;
  clock: Clock;
  read(): Promise<KubeNode>;
  person: {
    /** As `kubectl`: nothing is sent if it is so already. */
    cordon(): Promise<void>;
    uncordon(): Promise<void>;
    annotate(key: string, value: string | null): Promise<void>;
    /** Deleted, and registered again under its name. */
    recreate(): Promise<void>;
    /** A tool puts the object back without its managed fields. */
    wipe(): Promise<void>;
    /** Another tool that applies `unschedulable: true` as its own, and stops to. */
    apply(isCordoned: boolean): Promise<void>;
  };
};

export type Tally = {
  stories: number;
  steps: number;
  /** Writes of the product that the server did. */
  writes: number;
  conflicts: number;
  answers: Record<CordonAnswer["kind"], number>;
  /** Cordons of a person that outlived a release of ours. */
  spared: number;
  /** Each must stay empty. */
  lifted: string[];
  fights: string[];
  /** A cordon of ours alone that could not be given back in the end. */
  stuck: string[];
};

export function newTally(): Tally {
  return {
    stories: 0,
    steps: 0,
    writes: 0,
    conflicts: 0,
    answers: { held: 0, released: 0, yielded: 0, other_object: 0, refused: 0, lost: 0 },
    spared: 0,
    lifted: [],
    fights: [],
    stuck: [],
  };
}

const STEPS_MAX = 14;
/** Copies of the object from earlier in the story, for stale starts. */
const COPIES_MAX = 6;

/** Plays one story to its end. `random` decides all of it. */
export async function playStory(ground: Ground, random: () => number, tally: Tally): Promise<void> {
  const story = new Story(ground, random, tally);
  const steps = 4 + Math.floor(random() * (STEPS_MAX - 4));
  await story.begin();
  for (let i = 0; i < steps; i++) await story.step();
  await story.end();
  tally.stories += 1;
}

class Story {
  readonly #ground: Ground;
  readonly #random: () => number;
  readonly #tally: Tally;
  readonly #api: KubeApi;
  readonly #said: string[] = [];
  readonly #copies: KubeNode[] = [];
  /** Requests whose answer was lost and which have not arrived yet. */
  readonly #late: KubeRequest[] = [];
  /** Who, beside us, wants the object cordoned; by what they did, not by what the server keeps. */
  readonly #claims = new Set<"person" | "tool" | "hold">();
  /** Sessions in which a person has lifted the cordon, by UID. */
  readonly #cancelled = new Set<string>();
  #isWiped = false;
  #isCalm = false;
  #sessions = 0;
  #session: string | null = null;
  #uid = "";

  constructor(ground: Ground, random: () => number, tally: Tally) {
    this.#ground = ground;
    this.#random = random;
    this.#tally = tally;
    this.#api = {
      call: (request) => this.#call(request),
      watch: async () => ({ kind: "ended" }),
      close: () => undefined,
    };
  }

  async begin(): Promise<void> {
    const node = await this.#look();
    this.#uid = node.uid;
    if (this.#random() < 0.3) await this.#personActs();
  }

  async step(): Promise<void> {
    this.#tally.steps += 1;
    const draw = this.#random();
    if (draw < 0.36) await this.#hold();
    else if (draw < 0.62) await this.#release();
    else if (draw < 0.92) await this.#personActs();
    else await this.#arrive();
  }

  /** Everything late arrives, the network is well, nobody holds: then nothing of ours may stay. */
  async end(): Promise<void> {
    while (this.#late.length > 0) await this.#arrive();
    this.#isCalm = true;
    if (this.#claims.has("hold")) await this.#setHold(false);
    this.#uid = (await this.#look()).uid;
    const before = [...this.#claims];
    const answer = await releaseCordon(this.#ports(), this.#ground.name, this.#uid, { pool: null });
    this.#say(`end: ${answer.kind}`);
    this.#tally.answers[answer.kind] += 1;
    const node = await this.#look();
    if (answer.kind !== "released" || node.own) this.#tally.stuck.push(this.#tell(node));
    if (before.length > 0) {
      this.#tally.spared += 1;
      if (!node.unschedulable) this.#tally.lifted.push(this.#tell(node));
    } else if (node.unschedulable && !this.#isWiped) this.#tally.stuck.push(this.#tell(node));
  }

  async #hold(): Promise<void> {
    // A person's word has ended the last one; what comes now is a new finding.
    this.#session ??= `s${++this.#sessions}`;
    const session = this.#session;
    const cached = await this.#copy();
    const why = this.#random() < 0.8 ? "xid79" : "xid95";
    const options = { session, why, pool: null, ...(cached === null ? {} : { cached }) };
    const answer = await holdCordon(this.#ports(), this.#ground.name, this.#uid, options);
    this.#say(`hold ${session}: ${answer.kind}`);
    this.#tally.answers[answer.kind] += 1;
    if (answer.kind === "other_object") this.#uid = (await this.#look()).uid;
    // Some callers see the cancel at once, others come again first.
    if (answer.kind === "yielded" && this.#random() < 0.5) this.#session = null;
  }

  async #release(): Promise<void> {
    const session = this.#random() < 0.5 ? this.#session : null;
    const cached = await this.#copy();
    const answer = await releaseCordon(this.#ports(), this.#ground.name, this.#uid, {
      pool: null,
      ...(session === null ? {} : { session }),
      ...(cached === null ? {} : { cached }),
    });
    this.#say(`release: ${answer.kind}`);
    this.#tally.answers[answer.kind] += 1;
    this.#session = null;
    if (answer.kind === "other_object") this.#uid = (await this.#look()).uid;
  }

  async #personActs(): Promise<void> {
    const { person } = this.#ground;
    const before = await this.#look();
    const draw = this.#random();
    if (draw < 0.3) {
      await person.cordon();
      // On a cordoned one it sends nothing: the known blind spot, for which there is the hold.
      if (!before.unschedulable) this.#claims.add("person");
      this.#say("person cordons");
    } else if (draw < 0.56) {
      await person.uncordon();
      this.#say("person uncordons");
      const session = before.annotations[ANNOTATION.session];
      if (before.unschedulable && session !== undefined)
        this.#cancelled.add(`${before.uid} ${session}`);
    } else if (draw < 0.64) {
      await person.annotate("example.test/note", String(this.#random()));
      this.#say("person annotates");
    } else if (draw < 0.72) {
      await this.#setHold(!this.#claims.has("hold"));
    } else if (draw < 0.8) {
      await person.recreate();
      this.#say("node recreated");
      this.#claims.clear();
      this.#isWiped = false;
    } else if (draw < 0.88) {
      await person.wipe();
      this.#say("ownership wiped");
      this.#isWiped = true;
    } else {
      const isCordoned = !this.#claims.has("tool");
      await person.apply(isCordoned);
      this.#say(isCordoned ? "tool applies" : "tool drops");
      if (isCordoned) this.#claims.add("tool");
      else this.#claims.delete("tool");
    }
    const after = await this.#look();
    // What people lift themselves, nobody can lift from them.
    if (!after.unschedulable) {
      this.#claims.delete("person");
      this.#claims.delete("tool");
    }
  }

  async #setHold(isHeld: boolean): Promise<void> {
    await this.#ground.person.annotate(ANNOTATION.hold, isHeld ? "true" : null);
    this.#say(isHeld ? "person holds" : "person ends the hold");
    if (isHeld) this.#claims.add("hold");
    else this.#claims.delete("hold");
  }

  /** The product's network: a person gets in between, answers are lost, requests come late. */
  async #call(request: KubeRequest): Promise<KubeAnswer> {
    if (this.#isCalm || request.verb !== "patch") return this.#ground.api.call(request);
    if (this.#random() < 0.25) await this.#personActs();
    const draw = this.#random();
    if (draw < 0.07) return { kind: "lost", message: "never sent" };
    if (draw < 0.2) {
      this.#late.push(request);
      this.#say("a request is late");
      return { kind: "lost", message: "late" };
    }
    const answer = await this.#send(request);
    return draw < 0.27 ? { kind: "lost", message: "answer lost" } : answer;
  }

  async #arrive(): Promise<void> {
    const at = Math.floor(this.#random() * this.#late.length);
    const [request] = this.#late.splice(at, 1);
    if (request === undefined) return;
    this.#say("a late request arrives");
    await this.#send(request);
  }

  async #send(request: KubeRequest): Promise<KubeAnswer> {
    const before = await this.#look();
    const answer = await this.#ground.api.call(request);
    const after = await this.#look();
    if (answer.kind === "ok") this.#tally.writes += 1;
    else if (answer.kind === "refused") this.#tally.conflicts += 1;
    const isSame = before.uid === after.uid;
    if (isSame && before.unschedulable && !after.unschedulable && this.#claims.size > 0)
      this.#tally.lifted.push(this.#tell(after));
    const session = after.annotations[ANNOTATION.session] ?? "";
    const isAgain = isSame && !before.unschedulable && after.unschedulable;
    if (isAgain && this.#cancelled.has(`${after.uid} ${session}`))
      this.#tally.fights.push(this.#tell(after));
    return answer;
  }

  async #look(): Promise<KubeNode> {
    const node = await this.#ground.read();
    if (this.#copies.length >= COPIES_MAX) this.#copies.shift();
    this.#copies.push(node);
    return node;
  }

  /** None, the latest, or one from earlier. */
  async #copy(): Promise<KubeNode | null> {
    const draw = this.#random();
    if (draw < 0.35) return null;
    if (draw < 0.6) return this.#look();
    return this.#copies[Math.floor(this.#random() * this.#copies.length)] ?? null;
  }

  #ports() {
    return { api: this.#api, clock: this.#ground.clock, random: this.#random };
  }

  #say(line: string): void {
    this.#said.push(line);
  }

  #tell({ unschedulable, own, others, annotations }: KubeNode): string {
    const claims = [...this.#claims].join("+") || "nobody";
    const state = JSON.stringify({ unschedulable, own, others, annotations });
    return `${this.#said.join("; ")} → claimed by ${claims}: ${state}`;
  }
}

/** The other tool's request; it is nobody of ours, so it forces nothing. */
export function toolRequest(name: string, isCordoned: boolean): KubeRequest {
  return {
    verb: "patch",
    path: `/api/v1/nodes/${name}`,
    query: { fieldManager: "gitops", force: "true" },
    contentType: PATCH.apply,
    body: {
      apiVersion: "v1",
      kind: "Node",
      metadata: { name },
      ...(isCordoned ? { spec: { unschedulable: true } } : {}),
    },
    timeoutMs: 5_000,
    lane: "read",
  };
}
