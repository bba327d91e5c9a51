//! Rasterising: exact where it can be, never one pixel too many anywhere.

use super::*;
use proptest::prelude::*;

const SIZE: (u16, u16) = (60, 80);

fn kept(shapes: &[Shape]) -> Vec<Vec<bool>> {
    let mask = Shape::mask(Vec::new(), shapes, SIZE.0, SIZE.1);
    let mut spans = Vec::new();
    (0..u32::from(SIZE.0))
        .map(|y| {
            mask.spans(y, 1, 1, &mut spans);
            (0..u32::from(SIZE.1)).map(|x| !spans.iter().any(|s| (s.0..s.1).contains(&x))).collect()
        })
        .collect()
}

fn count(kept: &[Vec<bool>]) -> usize {
    kept.iter().flatten().filter(|k| **k).count()
}

fn fan(apex: [f64; 2], radii: [f64; 2], angles: [f64; 2]) -> Shape {
    Shape::Fan(Fan { apex, radii, angles })
}

#[test]
fn a_rectangle_is_the_same_as_its_polygon() {
    let rectangle = kept(&[Shape::Rectangle([10, -40, 30, 20].into())]);
    assert_eq!(count(&rectangle), 600);
    assert_eq!(rectangle, kept(&[Shape::Polygon(vec![[10, 20], [40, 20], [40, 40], [10, 40]])]));
    assert_eq!(rectangle, kept(&[Shape::Polygon(vec![[10, 40], [40, 40], [40, 20], [10, 20]])]));
}

#[test]
fn a_triangle_keeps_whole_pixels_only() {
    // Sides at 45 degrees cut one pixel of each line on each side.
    let triangle = kept(&[Shape::Polygon(vec![[40, 10], [60, 30], [20, 30]])]);
    for (y, line) in triangle.iter().enumerate() {
        let wide = if (10..30).contains(&y) { 2 * (y - 10) } else { 0 };
        assert_eq!(line.iter().filter(|k| **k).count(), wide, "line {y}");
    }
}

#[test]
fn an_outline_that_crosses_itself_keeps_what_it_surrounds_once() {
    let bow = kept(&[Shape::Polygon(vec![[10, 10], [50, 50], [50, 10], [10, 50]])]);
    assert!(bow[30][12] && bow[30][47] && !bow[12][30] && !bow[47][30] && !bow[30][30] && !bow[29][29]);
    let union =
        kept(&[Shape::Polygon(vec![[10, 10], [30, 30], [10, 50]]), Shape::Polygon(vec![[50, 10], [50, 50], [30, 30]])]);
    assert_eq!(bow, union);
}

#[test]
fn angles_count_from_straight_down_to_the_right() {
    let near = |(a, b): (f64, f64), (c, d): (f64, f64)| (a - c).abs() + (b - d).abs() < 1e-14;
    for (degrees, expected) in [(0.0, (0.0, 1.0)), (90.0, (1.0, 0.0)), (-90.0, (-1.0, 0.0)), (180.0, (0.0, -1.0))] {
        assert!(direction(degrees) == expected, "{degrees}: {:?}", direction(degrees));
    }
    for step in -3600..=3600 {
        let degrees = f64::from(step) / 10.0;
        assert!(near(direction(degrees), degrees.to_radians().sin_cos()), "{degrees}");
    }
    let right = kept(&[fan([40.0, 30.0], [0.0, 20.0], [0.0, 90.0])]);
    assert!(right[35][45] && !right[35][35] && !right[25][45] && right[30][40] && !right[30][39]);
}

#[test]
fn a_fan_is_a_ring_between_two_edges() {
    let ring = kept(&[fan([40.0, 30.0], [10.0, 25.0], [-180.0, 180.0])]);
    let half = kept(&[fan([40.0, 30.0], [10.0, 25.0], [-90.0, 90.0])]);
    assert_eq!(count(&ring), 2 * count(&half));
    // Three quarters are the ring without the fourth but for pixels on its edges.
    let most = kept(&[fan([40.0, 30.0], [10.0, 25.0], [-135.0, 135.0])]);
    assert!(most[30][20] && most[30][60] && most[50][40] && !most[15][40]);
    assert!(count(&most) < count(&ring) && count(&most) > count(&half) * 3 / 2 - 40);
    let area = std::f64::consts::PI * (25.0f64.powi(2) - 10.0f64.powi(2));
    assert!((count(&ring) as f64) < area && count(&ring) as f64 > 0.85 * area);
}

#[test]
fn shapes_that_are_none_are_refused() {
    let refused = |shape: Shape| shape.check(SIZE.0, SIZE.1).unwrap_err();
    assert_eq!(refused(Shape::Polygon(vec![[0, 0], [9, 9]])), ShapeError::Corners);
    assert_eq!(refused(Shape::Polygon(vec![[0, 0], [81, 9], [0, 9]])), ShapeError::Outside);
    Shape::Polygon(vec![[0, 0], [80, 60], [0, 60]]).check(SIZE.0, SIZE.1).unwrap();
    refused(Shape::Rectangle([0, 0, 81, 1].into()));
    for (radii, angles) in [
        ([5.0, 5.0], [-1.0, 1.0]),
        ([-1.0, 5.0], [-1.0, 1.0]),
        ([0.0, f64::INFINITY], [-1.0, 1.0]),
        ([0.0, 5.0], [1.0, -1.0]),
        ([0.0, 5.0], [-200.0, 200.0]),
        ([0.0, f64::NAN], [-1.0, 1.0]),
        ([0.0, 5.0], [f64::NAN, 1.0]),
    ] {
        assert_eq!(refused(fan([1.0, 1.0], radii, angles)), ShapeError::Fan);
    }
}

proptest! {
    /// Every point of a kept pixel is inside: corners and a grid between, by a test of another kind.
    #[test]
    fn no_pixel_of_a_fan_reaches_out(
        x in -20i32..100, y in -40i32..70, near in 0i32..30, wide in 5i32..60, left in -180i32..180, opening in 1i32..=180,
    ) {
        let (apex, radii) = ([f64::from(x) / 1.0, f64::from(y) / 1.0], [f64::from(near), f64::from(near + wide)]);
        let angles = [f64::from(left), f64::from(left + opening)];
        for (row, line) in kept(&[fan(apex, radii, angles)]).iter().enumerate() {
            for (column, _) in line.iter().enumerate().filter(|(_, k)| **k) {
                for step in 0..25 {
                    let dx = (column as f64) + f64::from(step % 5) / 4.0 - apex[0];
                    let dy = (row as f64) + f64::from(step / 5) / 4.0 - apex[1];
                    let r = dx.hypot(dy);
                    prop_assert!(r >= radii[0] - 1e-9 && r <= radii[1] + 1e-9);
                    let turned = (dx.atan2(dy).to_degrees() - angles[0] + 1e-6).rem_euclid(360.0);
                    prop_assert!(r < 1e-6 || turned <= f64::from(opening) + 2e-6, "{} {} {}", column, row, turned);
                }
            }
        }
    }

    /// A pixel of a polygon is kept exactly when all points of a fine grid in it are inside by the even-odd rule.
    #[test]
    fn a_polygon_keeps_exactly_its_whole_pixels(
        corners in prop::collection::vec((0u16..=80, 0u16..=60), 3..8),
    ) {
        let corners: Vec<[u16; 2]> = corners.into_iter().map(|(x, y)| [x, y]).collect();
        let inside = |x: f64, y: f64| {
            corners.iter().zip(corners.iter().cycle().skip(1)).filter(|(a, b)| {
                let [ax, ay, bx, by] = [a[0], a[1], b[0], b[1]].map(f64::from);
                (ay > y) != (by > y) && x < (bx - ax) * (y - ay) / (by - ay) + ax
            }).count() % 2 == 1
        };
        for (row, line) in kept(&[Shape::Polygon(corners.clone())]).iter().enumerate() {
            for (column, &kept) in line.iter().enumerate() {
                let grid = (0..36).map(|i| {
                    (column as f64 + (f64::from(i % 6) + 0.5) / 6.0, row as f64 + (f64::from(i / 6) + 0.51) / 6.0)
                });
                let all = grid.clone().all(|(x, y)| inside(x, y));
                // A side may cut off a corner between the points of the grid, so only this way round.
                prop_assert!(!kept || all, "{column} {row} of {corners:?}");
                if !kept && all {
                    let touched = polygon_touches(&corners, column as i64, row as i64);
                    prop_assert!(touched, "{column} {row} of {corners:?} was inside");
                }
            }
        }
    }
}

/// True when a side passes through the open pixel.
fn polygon_touches(corners: &[[u16; 2]], x: i64, y: i64) -> bool {
    corners.iter().zip(corners.iter().cycle().skip(1)).any(|(a, b)| {
        let [ax, ay, bx, by] = [a[0], a[1], b[0], b[1]].map(i64::from);
        // Corners of the pixel on both sides of the line through the side, and their boxes overlap.
        let side = |px: i64, py: i64| (bx - ax) * (py - ay) - (by - ay) * (px - ax);
        let sides = [side(x, y), side(x + 1, y), side(x, y + 1), side(x + 1, y + 1)];
        ax.min(bx) < x + 1
            && ax.max(bx) > x
            && ay.min(by) < y + 1
            && ay.max(by) > y
            && sides.iter().any(|s| *s > 0)
            && sides.iter().any(|s| *s < 0)
    })
}
