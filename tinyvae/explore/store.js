// The page's state: a few values, and the views that show them. A change redraws the views that
// look at what changed, once per frame of the screen.

export class Store {
  constructor(state) {
    this.state = state;
    this.views = [];
    this.changed = new Set();
    this.frame = 0;
  }

  /** Call view(state) now, and in every frame in which one of these values has changed. */
  watch(names, view) {
    this.views.push([names, view]);
    view(this.state);
  }

  /** Set values; the views follow in the next frame. */
  set(values) {
    Object.assign(this.state, values);
    for (const name of Object.keys(values)) this.changed.add(name);
    this.frame ||= requestAnimationFrame(() => this.update());
  }

  /** Redraw what has changed. */
  update() {
    const changed = this.changed;
    this.changed = new Set();
    this.frame = 0;
    for (const [names, view] of this.views) {
      if (names.some((name) => changed.has(name))) view(this.state);
    }
  }
}
