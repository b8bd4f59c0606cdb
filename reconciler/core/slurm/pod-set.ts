/** The port to a StatefulSet whose pods are Slurm's nodes. */

export type PodPlace = { namespace: string; name: string };

/** A StatefulSet as it was read. */
export type PodSet = {
  name: string;
  uid: string;
  /** Its resource version: a write that was decided on another one is refused. */
  version: string;
  replicas: number;
  /** The lowest ordinal. */
  first: number;
  /** Whether it has annotations. */
  hasNotes: boolean;
};

export type PodSetAnswer<T> = { kind: "ok"; value: T } | { kind: "failed"; message: string };

/** Nothing here rejects. */
export type PodSetPort = {
  read(place: PodPlace): Promise<PodSetAnswer<PodSet>>;
  /** Refused if anything of the object has changed since `seen`. */
  resize(place: PodPlace, seen: PodSet, to: number, limitMs: number): Promise<PodSetAnswer<null>>;
  /**
   * Changes the object's version before nodes are released, so that a resize that another process
   * decided while they were drained is refused.
   */
  fence(place: PodPlace, seen: PodSet, note: string, limitMs: number): Promise<PodSetAnswer<null>>;
  /** Wall milliseconds of the pod's creation; `null` = it does not exist, or ends. */
  bornAt(place: PodPlace, pod: string): Promise<PodSetAnswer<number | null>>;
};
