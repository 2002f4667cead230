boot() {
	mkdir -p /config
	mount -t configfs none /config
	load playout
	cd /config/playout
	for clip in news weather quiz drama film concert debate sports; do
		mkdir clips/$clip
		echo 1800 >clips/$clip/seconds
	done
	mkdir schedules/evening schedules/morning
	ln -s /config/playout/clips/news schedules/morning/first
	ln -s /config/playout/clips/quiz schedules/evening/first
	ln -s /config/playout/clips/film schedules/evening/second
	cd /
}

workload() {
	cat /config/playout/schedules/evening/onair /config/playout/schedules/morning/onair
	log the quiz is dropped tonight
	rm /config/playout/schedules/evening/first
	rmdir /config/playout/clips/quiz
	for clip in news weather drama film concert debate sports; do
		echo "The $clip of this evening, as announced in the printed programme and on the station's own pages; with subtitles for the hard of hearing, and repeated tomorrow at half past nine in the morning on the second channel, in stereo" >/config/playout/clips/$clip/title
	done
	sleep 0.5
	cat /config/playout/schedules/morning/onair
	cat /config/playout/schedules/evening/onair
}
