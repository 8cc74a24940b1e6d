// The gallery: charts of the run over the stage, decoded when they are first asked for.

class Gallery {
  constructor(map) {
    Object.assign(this, { box: document.getElementById("gallery"), opener: document.getElementById("charts") });
    this.isFilled = false;
    this.opener.hidden = !map.has_charts;
    this.opener.addEventListener("click", () => this.show(this.box.hidden));
  }

  get isOpen() {
    return !this.box.hidden;
  }

  async show(isOpen) {
    this.box.hidden = !isOpen;
    this.opener.setAttribute("aria-pressed", String(isOpen));
    if (!isOpen || this.isFilled) return;
    this.isFilled = true;
    const charts = await unpackedJson("charts");
    const drawn = charts.filter((chart) => chart.image), missing = charts.filter((chart) => !chart.image);
    this.box.replaceChildren(
      ...drawn.map(({ title, image }) => make("figure", {},
        make("figcaption", {}, title), make("img", { src: image, alt: title, loading: "lazy" }))),
      ...missing.map(({ title, reason }) => make("p", { class: "small" }, `${title}: ${reason}`)));
    this.box.dataset.ready = "true";
  }
}
