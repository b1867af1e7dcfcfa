// The scene in a browser: the photos' viewpoints, navigation, and comparison of photo and render.
import * as THREE from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import { SparkControls, SparkRenderer, SplatMesh } from "@sparkjsdev/spark";

const AWAKE = 1500; // milliseconds of drawing after the last change, because sorting takes some frames,
const FRAMES = 3; // and the least number of frames, in case a single one takes longer
const ALONE = "sharp alone", BESIDE = "side by side"; // what is compared, besides each kind of picture
const $ = (id) => document.getElementById(id);
// Our axes are x right, y down, z forward; those of three.js y up, z backward. The scene's file is turned likewise.
const turned = ([x, y, z]) => new THREE.Vector3(x, -y, -z);

export async function start(file, facts) {
  const renderer = new THREE.WebGLRenderer({ canvas: $("view"), antialias: false, preserveDrawingBuffer: true });
  const scene = new THREE.Scene();
  scene.background = new THREE.Color(facts.white ? 0xffffff : 0x000000);
  const camera = new THREE.PerspectiveCamera(50, 1, 0.01, 10000);
  let until = 0, frames = 0;
  const wake = () => {
    until = performance.now() + AWAKE;
    frames = FRAMES;
  };
  // The blur that the Gaussians were trained with, opacity reduced accordingly; sorted by distance, as in training.
  const spark = new SparkRenderer({
    renderer, preBlurAmount: 0, blurAmount: facts.spread, maxStdDev: 3, sortRadial: true, accumExtSplats: true, onDirty: wake,
  });
  scene.add(spark);
  const splats = new SplatMesh({ fileBytes: file, fileType: "spz", extSplats: true, nonLod: true });
  scene.add(splats);
  await splats.initialized;

  const views = facts.photos.map(viewpoint);
  const focus = turned(facts.focus);
  camera.up.copy(views.reduce((sum, view) => sum.add(view.up), new THREE.Vector3()).normalize());
  const orbit = new OrbitControls(camera, $("view"));
  const walk = new SparkControls({ canvas: $("view") });
  walk.fpsMovement.moveSpeed = focus.distanceTo(views[0].centre) / 3;
  let walking = false, current = 0, at = null; // at: index of the photo at whose viewpoint the camera is, if any

  function viewpoint(photo) {
    const r = photo.rotation; // world to camera, row by row
    const [right, down, forward] = [0, 3, 6].map((row) => turned(r.slice(row, row + 3)));
    const up = down.clone().negate(), back = forward.clone().negate();
    return {
      photo, up, forward, centre: turned(photo.centre),
      quaternion: new THREE.Quaternion().setFromRotationMatrix(new THREE.Matrix4().makeBasis(right, up, back)),
    };
  }

  // What is shown side by side, in order; null is the render. Away from the photos' viewpoints, only the render.
  function beside() {
    const { pictures } = views[current].photo;
    if (at === null || $("against").value !== BESIDE || !pictures.length) return [null];
    return [pictures[0], null, ...pictures.slice(1)];
  }

  // Places of `count` pictures with the photo's aspect ratio above the bar, as large as possible, beside or below each
  // other. More than one also stay clear of the heading.
  function cells(count) {
    const above = count > 1 ? $("head").offsetHeight : 0;
    const width = innerWidth, height = innerHeight - above - $("bar").offsetHeight, [w, h] = views[current].photo.size;
    const scaled = (columns, rows) => Math.min(width / (columns * w), height / (rows * h));
    const across = scaled(count, 1) >= scaled(1, count), scale = Math.max(scaled(count, 1), scaled(1, count));
    return Array.from({ length: count }, (_, index) => {
      const x = across ? (index + 0.5) * width / count : width / 2;
      const y = above + (across ? height / 2 : (index + 0.5) * height / count);
      const style = { left: `${x - w * scale / 2}px`, top: `${y - h * scale / 2}px`, width: `${w * scale}px`, height: `${h * scale}px` };
      return { x, y, scale, style };
    });
  }

  // Fit the photo's whole field of view into the render's cell.
  function fit() {
    const shown = beside(), places = cells(shown.length), own = places[shown.indexOf(null)];
    const width = innerWidth, height = innerHeight, { photo } = views[current], { x, y, scale } = own;
    const [fx, fy] = photo.focal.map((focal) => focal * scale);
    camera.fov = 2 * THREE.MathUtils.RAD2DEG * Math.atan(height / (2 * fy));
    camera.aspect = (width / fx) / (height / fy);
    camera.updateProjectionMatrix();
    // The principal point is off the window's middle, by the place of the cell and by the photo's own offset.
    camera.projectionMatrix.elements[8] = 1 - 2 * (x + photo.offset[0] * scale) / width;
    camera.projectionMatrix.elements[9] = 2 * (y + photo.offset[1] * scale) / height - 1;
    camera.projectionMatrixInverse.copy(camera.projectionMatrix).invert();
    Object.assign($("frame").style, own.style);
    $("frame").classList.toggle("alone", shown.length > 1);
    $("beside").replaceChildren(...shown.flatMap((picture, index) => picture ? [figure(picture, places[index].style)] : []));
    wake();
  }

  function figure({ words, uri }, style) {
    const made = document.createElement("figure"), image = new Image();
    image.src = uri;
    image.alt = `${words} of ${views[current].photo.name}`;
    made.append(image, Object.assign(document.createElement("figcaption"), { textContent: words }));
    Object.assign(made.style, style);
    return made;
  }

  function resized() {
    renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    renderer.setSize(innerWidth, innerHeight, false);
    fit();
  }

  function show(index) {
    current = (index + views.length) % views.length;
    at = current;
    const view = views[current];
    camera.position.copy(view.centre);
    camera.quaternion.copy(view.quaternion);
    const depth = Math.max(focus.clone().sub(view.centre).dot(view.forward), 0.05 * focus.distanceTo(view.centre));
    orbit.target.copy(view.centre).addScaledVector(view.forward, depth);
    tell();
  }

  function leave() {
    if (at === null) return;
    at = null;
    tell();
  }

  function tell() {
    const { photo } = views[current];
    $("where").textContent = at === null ? "Drag, or pick a photo below" : `${photo.name} (${current + 1} of ${views.length})`;
    [...$("strip").children].forEach((button, index) => button.setAttribute("aria-current", String(index === at)));
    $("strip").children[current]?.scrollIntoView({ block: "nearest", inline: "nearest" });
    const chosen = $("against").value;
    const picture = at === null ? undefined : photo.pictures.find(({ words }) => words === chosen);
    $("frame").hidden = at === null;
    for (const id of ["picture", "handle", "slide"]) $(id).hidden = !picture;
    if (picture) {
      $("picture").src = picture.uri;
      $("picture").alt = `${picture.words} of ${photo.name}`;
    }
    slide();
    fit();
  }

  function slide() {
    const share = $("slide").value;
    $("picture").style.clipPath = `inset(0 ${100 - share}% 0 0)`;
    $("handle").style.left = `${share}%`;
  }

  function move(byWalking) {
    walking = byWalking;
    orbit.enabled = !walking;
    walk.fpsMovement.enable = walk.pointerControls.enable = walking;
    $("orbit").setAttribute("aria-pressed", String(!walking));
    $("walk").setAttribute("aria-pressed", String(walking));
    wake();
  }

  function bare() {
    const hidden = document.body.classList.toggle("bare");
    $("back").hidden = !hidden;
    fit();
  }

  function toggleHelp() {
    $("words").hidden = !$("words").hidden;
    $("help").setAttribute("aria-expanded", String(!$("words").hidden));
  }

  function fullScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else document.documentElement.requestFullscreen?.();
  }

  const kinds = [...new Set(facts.photos.flatMap(({ pictures }) => pictures.map(({ words }) => words)))];
  for (const words of [ALONE, ...kinds, BESIDE]) $("against").append(new Option(words, words));
  $("compare-with").hidden = kinds.length === 0;
  views.forEach(({ photo }, index) => {
    const button = document.createElement("button");
    button.title = photo.name;
    button.setAttribute("role", "listitem");
    button.setAttribute("aria-label", photo.name);
    if (photo.pictures.length) button.append(Object.assign(new Image(), { src: photo.pictures[0].uri, alt: "", loading: "lazy" }));
    else button.textContent = photo.name;
    button.onclick = () => show(index);
    $("strip").append(button);
  });
  const nextKind = () => {
    $("against").selectedIndex = ($("against").selectedIndex + 1) % $("against").length;
    tell();
  };
  $("previous").onclick = () => show(current - 1);
  $("next").onclick = () => show(current + 1);
  $("against").onchange = tell;
  $("slide").oninput = slide;
  $("orbit").onclick = () => move(false);
  $("walk").onclick = () => move(true);
  $("full").onclick = fullScreen;
  $("hide").onclick = bare;
  $("help").onclick = toggleHelp;
  $("back").onclick = bare;
  const keys = {
    ArrowLeft: () => show(current - 1), ArrowRight: () => show(current + 1), c: nextKind, f: fullScreen, o: () => move(false),
    h: bare, "?": toggleHelp, Escape: () => { if (!$("words").hidden) toggleHelp(); },
    e: () => { if (!walking) move(true); },
  };
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT)$/.test(event.target.tagName)) return;
    const does = keys[event.key];
    if (does) { does(); event.preventDefault(); }
  });
  orbit.addEventListener("start", leave);
  orbit.addEventListener("change", wake);
  addEventListener("resize", resized);

  const before = new THREE.Matrix4();
  renderer.setAnimationLoop(() => {
    if (walking) {
      before.compose(camera.position, camera.quaternion, camera.scale);
      walk.update(camera, camera);
      const after = new THREE.Matrix4().compose(camera.position, camera.quaternion, camera.scale);
      if (!after.equals(before)) {
        leave();
        orbit.target.copy(camera.position).add(new THREE.Vector3(0, 0, -focus.distanceTo(views[0].centre)).applyQuaternion(camera.quaternion));
        wake();
      }
    }
    if (frames > 0 || performance.now() < until) {
      frames -= 1;
      renderer.render(scene, camera);
    }
  });
  move(false);
  resized();
  show(0);
  document.body.dataset.ready = "true";
}
