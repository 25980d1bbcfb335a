// Where each fid's file stands: a directory and a name in it. A node does not know its names (a file may have several),
// but Trename and Tremove name a file by its fid alone, and a fid keeps meaning the same file after a rename.
// Fids that are paths have no place, but a route (routes.ts).
// Guarantees: one Place for a (directory, name) that some fid stands at; a rename through this server moves it under all
// of them, a removal marks it gone. A change made by others (in a host directory) is not seen: a request that acts on a
// place looks again.

import type { TreeNode } from './tree.ts';

export class Place {
  dir: TreeNode;
  name: string;
  /** The place of `dir`, where the fid that walked knew it; undefined for the root. */
  up: Place | undefined;
  gone = false;
  refs = 1;

  constructor(dir: TreeNode, name: string, up: Place | undefined) {
    this.dir = dir;
    this.name = name;
    this.up = up;
  }
}

export class Places {
  readonly #byDir = new Map<TreeNode, Map<string, Place>>();

  /** Directories that some place stands in; for leak checks. */
  get size(): number {
    return this.#byDir.size;
  }

  /** The place of `name` in `dir`, with a reference. */
  at(dir: TreeNode, name: string, up: Place | undefined): Place {
    const known = this.#byDir.get(dir)?.get(name);
    if (known !== undefined) {
      known.refs++;
      return known;
    }
    const place = new Place(dir, name, up);
    dir.retain();
    if (up !== undefined) up.refs++;
    this.#enter(place);
    return place;
  }

  release(place: Place | undefined): void {
    let each = place;
    while (each !== undefined && --each.refs === 0) {
      const { up } = each;
      if (!each.gone) this.#leave(each);
      each.dir.release();
      each = up;
    }
  }

  /** The name is gone; what stands there has none any more. */
  removed(dir: TreeNode, name: string): void {
    const place = this.#byDir.get(dir)?.get(name);
    if (place === undefined) return;
    this.#leave(place);
    place.gone = true;
  }

  /** A rename has succeeded; `up` is the place of `newDir`. */
  moved(dir: TreeNode, name: string, newDir: TreeNode, newName: string, up: Place | undefined): void {
    if (dir === newDir && name === newName) return;
    this.removed(newDir, newName);
    const place = this.#byDir.get(dir)?.get(name);
    if (place === undefined) return;
    this.#leave(place);
    const { dir: oldDir, up: oldUp } = place;
    newDir.retain();
    if (up !== undefined) up.refs++;
    place.dir = newDir;
    place.name = newName;
    place.up = up;
    this.#enter(place);
    oldDir.release();
    this.release(oldUp);
  }

  #enter(place: Place): void {
    const names = this.#byDir.get(place.dir);
    if (names === undefined) this.#byDir.set(place.dir, new Map([[place.name, place]]));
    else names.set(place.name, place);
  }

  #leave(place: Place): void {
    const names = this.#byDir.get(place.dir);
    names?.delete(place.name);
    if (names?.size === 0) this.#byDir.delete(place.dir);
  }
}
