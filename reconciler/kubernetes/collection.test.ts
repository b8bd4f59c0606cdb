import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { WatchEvent } from "./api.ts";
import { Collection } from "./collection.ts";
import { readIdentity, readObject } from "./read-field.ts";

type Thing = { name: string; uid: string; resourceVersion: string };
const json = (name: string, uid: string, version: number) => ({
  metadata: { name, uid, resourceVersion: String(version) },
});
const read = (value: unknown): Thing | null =>
  readIdentity(readObject(readObject(value)["metadata"]));

function open() {
  const changes: string[] = [];
  /** What somebody knows who only listened. */
  const told = new Map<string, Thing>();
  const collection = new Collection<Thing>({
    read,
    changed: (before, after) => {
      const key = (after ?? before)?.name ?? "";
      expect(told.get(key) ?? null).toEqual(before);
      if (after === null) told.delete(key);
      else told.set(key, after);
      expect(collection.get(key) ?? null).toEqual(after);
      const text = (thing: Thing | null) =>
        thing === null ? "-" : `${thing.uid}@${thing.resourceVersion}`;
      changes.push(`${key} ${text(before)} ${text(after)}`);
    },
  });
  const list = (seen: number, ...things: Thing[]) => {
    collection.beginList();
    collection.replace(things, String(seen));
  };
  const hear = (type: WatchEvent["type"], name: string, uid: string, version: number) =>
    collection.hear({ type, object: json(name, uid, version) });
  const names = () => [...collection.values()].map((t) => `${t.uid}@${t.resourceVersion}`).sort();
  return { collection, changes, told, list, hear, names };
}
const thing = (name: string, uid: string, version: number): Thing => ({
  name,
  uid,
  resourceVersion: String(version),
});

describe("Collection", () => {
  test("hear() follows the life of an object", () => {
    const { collection, changes, hear } = open();
    hear("ADDED", "a", "u1", 5);
    hear("MODIFIED", "a", "u1", 6);
    hear("BOOKMARK", "", "", 9);
    hear("DELETED", "a", "u1", 10);
    expect(changes).toEqual(["a - u1@5", "a u1@5 u1@6", "a u1@6 -"]);
    expect([collection.version, collection.seen, collection.size]).toEqual([3, "10", 0]);
  });

  test("replace() tells what vanished, what came and what changed, and nothing else", () => {
    const { changes, list, collection } = open();
    list(10, thing("a", "u1", 1), thing("b", "u2", 2), thing("c", "u3", 3));
    changes.length = 0;
    list(20, thing("a", "u1", 1), thing("b", "u9", 12), thing("d", "u4", 4));
    expect(changes.sort()).toEqual(["b u2@2 u9@12", "c u3@3 -", "d - u4@4"]);
    expect(collection.seen).toBe("20");
  });

  test("replace() believes a list of a server that was restored to the past", () => {
    const { list, names } = open();
    list(100, thing("a", "u1", 90), thing("b", "u2", 95));
    list(50, thing("a", "u1", 40));
    expect(names()).toEqual(["u1@40"]);
  });

  test("ingest() takes what is newer, and the watch's older events do not undo it", () => {
    const { collection, list, hear, names } = open();
    list(10, thing("a", "u1", 8));
    collection.ingest(thing("a", "u1", 15));
    hear("MODIFIED", "a", "u1", 12);
    collection.ingest(thing("a", "u1", 9));
    expect(names()).toEqual(["u1@15"]);
    hear("MODIFIED", "a", "u1", 16);
    expect(names()).toEqual(["u1@16"]);
  });

  test("ingest() does not bring back what the watch has seen deleted", () => {
    const { collection, list, hear, names } = open();
    list(10, thing("a", "u1", 8));
    hear("DELETED", "a", "u1", 20);
    collection.ingest(thing("a", "u1", 15));
    expect(names()).toEqual([]);
    collection.ingest(thing("b", "u2", 25));
    expect(names()).toEqual(["u2@25"]);
  });

  test("ingest() of an object that left the selection ends with its own DELETED", () => {
    const { collection, list, hear, names } = open();
    list(10, thing("a", "u1", 8));
    collection.ingest(thing("a", "u1", 12));
    hear("DELETED", "a", "u1", 12);
    expect(names()).toEqual([]);
  });

  test("hear() lets a late end of a predecessor not end its successor", () => {
    const { collection, list, hear, names } = open();
    list(10, thing("a", "u1", 8));
    collection.ingest(thing("a", "u2", 15));
    hear("DELETED", "a", "u1", 12);
    expect(names()).toEqual(["u2@15"]);
  });

  test("what was learnt while a list was read outlives an older list", () => {
    const { collection, list, names } = open();
    list(10, thing("a", "u1", 8), thing("b", "u2", 9), thing("c", "u3", 7));
    collection.beginList();
    collection.ingest(thing("a", "u1", 22));
    collection.ingest(thing("c", "u3", 11));
    collection.replace([thing("a", "u1", 8), thing("c", "u3", 15)], "20");
    expect(names()).toEqual(["u1@22", "u3@15"]);
    collection.beginList();
    collection.ingest(thing("c", "u3", 16));
    // Deleted before the list was taken, and after our write.
    collection.replace([thing("a", "u1", 22)], "30");
    expect(names()).toEqual(["u1@22"]);
  });

  test("hear() finds a deleted object by its UID if its last state cannot be read", () => {
    const collection = new Collection<Thing>({
      read: (value) => (JSON.stringify(value).includes('"broken"') ? null : read(value)),
      changed: () => {},
    });
    collection.hear({ type: "ADDED", object: json("a", "u1", 1) });
    collection.hear({ type: "DELETED", object: { ...json("a", "u1", 2), broken: true } });
    expect(collection.size).toBe(0);
    collection.hear({ type: "MODIFIED", object: 5 });
    collection.hear({ type: "DELETED", object: null });
  });

  /** One step of a cluster and of us in it. */
  type Step =
    | { do: "write"; name: string; ours: boolean; late: number }
    | { do: "delete"; name: string }
    | { do: "watch" }
    | { do: "list"; begins: boolean };

  test("ends as the server is, whatever the order of lists, events and answers", () => {
    const name = fc.constantFrom("a", "b", "c");
    const step: fc.Arbitrary<Step> = fc.oneof(
      fc.record({
        do: fc.constant("write" as const),
        name,
        ours: fc.boolean(),
        late: fc.nat(3),
      }),
      fc.record({ do: fc.constant("delete" as const), name }),
      fc.record({ do: fc.constant("watch" as const) }),
      fc.record({ do: fc.constant("list" as const), begins: fc.boolean() }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { collection, told, names } = open();
        const world = new Map<string, Thing>();
        const history: { version: number; event: WatchEvent }[] = [];
        let revision = 1;
        let uids = 0;
        /** Answers to our writes, on their way; a number counts down the steps. */
        let answers: { left: number; take: () => void }[] = [];
        let snapshot: { items: Thing[]; seen: number } | null = null;
        let delivered = 0;
        const emit = (type: WatchEvent["type"], of: Thing) => {
          const object = json(of.name, of.uid, revision);
          history.push({ version: revision, event: { type, object } });
        };
        const list = (begins: boolean) => {
          if (begins && snapshot === null) {
            collection.beginList();
            snapshot = { items: [...world.values()], seen: revision };
          } else if (snapshot !== null) {
            collection.replace(snapshot.items, String(snapshot.seen));
            delivered = history.filter(({ version }) => version <= (snapshot?.seen ?? 0)).length;
            snapshot = null;
          }
        };
        list(true);
        list(false);
        for (const now of steps) {
          if (now.do === "write") {
            revision += 1;
            const held = world.get(now.name);
            const next = thing(now.name, held?.uid ?? `u${++uids}`, revision);
            world.set(now.name, next);
            emit(held === undefined ? "ADDED" : "MODIFIED", next);
            const take = () => collection.ingest(next);
            if (now.ours) answers.push({ left: now.late, take });
          } else if (now.do === "delete") {
            const held = world.get(now.name);
            if (held === undefined) continue;
            revision += 1;
            world.delete(now.name);
            emit("DELETED", held);
          } else if (now.do === "watch") {
            // While a list is on its way there is no watch.
            const next = snapshot === null ? history[delivered] : undefined;
            if (next !== undefined) {
              delivered += 1;
              collection.hear(next.event);
            }
          } else {
            list(now.begins);
          }
          for (const answer of answers) if (answer.left-- === 0) answer.take();
          answers = answers.filter(({ left }) => left >= 0);
        }
        list(false);
        for (; delivered < history.length; delivered += 1) {
          const entry = history[delivered];
          if (entry !== undefined) collection.hear(entry.event);
        }
        for (const { take } of answers) take();
        const wanted = [...world.values()].map((t) => `${t.uid}@${t.resourceVersion}`).sort();
        expect(names()).toEqual(wanted);
        expect([...told.values()].map((t) => t.uid).sort()).toEqual(
          [...world.values()].map((t) => t.uid).sort(),
        );
      }),
      { numRuns: 2_000 },
    );
  });
});
